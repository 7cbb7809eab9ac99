//! One suite for all engines: each promise of [`seglog::Store`] is a function here, run for each
//! engine, plain and sealed.

mod append;
mod damage;
mod keys;
mod lifecycle;
mod partitions;
mod read;
mod retention;

/// Runs each of these functions for each engine.
macro_rules! suite {
    ($($module:ident :: $($test:ident),+;)+) => {
        suite!(@engine log, Log, false, $($module :: $($test),+;)+);
        suite!(@engine log_sealed, Log, true, $($module :: $($test),+;)+);
        suite!(@engine sqlite, Sqlite, false, $($module :: $($test),+;)+);
        suite!(@engine sqlite_sealed, Sqlite, true, $($module :: $($test),+;)+);
    };
    (@engine $name:ident, $kind:ident, $sealed:literal, $($module:ident :: $($test:ident),+;)+) => {
        mod $name {
            use crate::engines::{Engine, Kind};

            const ENGINE: Engine = Engine { kind: Kind::$kind, sealed: $sealed };
            $($(
                #[test]
                fn $test() {
                    super::$module::$test(ENGINE);
                }
            )+)+
        }
    };
}

suite! {
    append::
        acked_batches_read_back_in_order,
        acks_come_in_the_order_of_appends,
        an_append_out_of_order_is_refused,
        a_batch_is_readable_when_its_ack_comes,
        batches_of_all_sizes_come_back_byte_for_byte,
        concurrent_appenders_keep_order_and_lose_nothing;
    read::
        a_read_inside_a_batch_gives_the_whole_batch,
        a_read_at_the_end_is_empty_and_past_it_out_of_range,
        a_read_gives_about_as_much_as_asked_for,
        small_reads_give_the_whole_partition,
        a_time_is_found,
        size_counts_what_is_stored;
    partitions::
        unknown_partitions_are_told,
        create_is_idempotent_and_changes_settings_only,
        a_dropped_partition_is_gone_and_starts_anew,
        many_partitions_at_one_go;
    retention::
        delete_before_moves_the_start,
        delete_before_refuses_what_is_past_the_end,
        delete_before_everything_keeps_the_end,
        retention_by_time,
        retention_by_size,
        without_retention_everything_stays;
    lifecycle::
        a_reopened_store_has_everything,
        a_second_open_is_locked_out,
        a_closed_store_refuses,
        close_finishes_what_is_queued;
    keys::
        wrong_keys_are_refused_at_open,
        a_key_is_rotated,
        only_a_sealed_store_hides_its_records;
    damage::
        a_flipped_bit_is_told_and_never_served,
        damage_at_both_ends_leaves_the_middle;
}
