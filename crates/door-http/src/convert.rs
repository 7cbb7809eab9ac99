//! Between the JSON shapes and the broker's words.

mod admin;
mod cluster;
mod records;

pub(crate) use admin::{
    changes, group_answer, mode_name, new_topic, partition_answer, producer_topic, topic_answer,
    topic_summary,
};
pub(crate) use cluster::{Places, cluster_answer, numbers};
pub(crate) use records::{
    assignment, batch_receipt, cursor, gap_answer, line_record, receipt, record_answer,
    request_record,
};
