//! Every type field by field, in the order of its bytes; kinds of an enum by their first byte. What is
//! written here must never change its meaning: logs and snapshots hold it. New kinds get new numbers.

use alloc::vec::Vec;

use model::{Incarnation, LeaderEpoch, Mode, NodeId, PartitionId, PartitionIndex, Slot};

use super::DecodeError;
use super::bytes::{Coded, Reader};
use crate::{
    AclEntry, Addresses, Command, Effect, Node, NodeState, Operation, Outcome, RaftId, Refusal,
    Registration, Resource, Topic, TopicChanges, TopicSettings, User,
};

macro_rules! coded {
    (number $($name:ident),+) => { $(
        impl Coded for $name {
            fn write(&self, to: &mut Vec<u8>) {
                self.0.write(to);
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Coded::read(from).map(Self)
            }
        }
    )+ };
    (struct $name:ident { $($field:ident),+ $(,)? }) => {
        impl Coded for $name {
            fn write(&self, to: &mut Vec<u8>) {
                $(self.$field.write(to);)+
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self { $($field: Coded::read(from)?),+ })
            }
        }
    };
    (enum $name:ident {
        $($kind:literal => $variant:ident $(($($value:ident),+))? $({ $($field:ident),+ $(,)? })?,)+
    }) => {
        impl Coded for $name {
            fn write(&self, to: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($($value),+))? $({ $($field),+ })? => {
                        to.push($kind);
                        $($($value.write(to);)+)?
                        $($($field.write(to);)+)?
                    })+
                }
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match from.byte()? {
                    $($kind => {
                        $($(let $value = Coded::read(from)?;)+)?
                        $($(let $field = Coded::read(from)?;)+)?
                        Ok(Self::$variant $(($($value),+))? $({ $($field),+ })?)
                    })+
                    _ => Err(from.invalid()),
                }
            }
        }
    };
}

coded!(number NodeId, Slot, Incarnation, LeaderEpoch, PartitionIndex, RaftId);

coded!(enum Command {
    1 => Found { cluster },
    2 => Register(registration),
    3 => Fence { id, incarnation, fenced },
    4 => SetNodeState { id, state },
    5 => RemoveNode { id, lose_partitions },
    6 => ForgetDisk { id, incarnation, lose_partitions },
    7 => CreateTopic { id, name, partitions, replication_factor, mode, settings, created, home },
    8 => DeleteTopic { id },
    9 => ConfigureTopic { id, changes },
    10 => AlterPartition { partition, expected_epoch, leader, isr },
    11 => TakeProducerIds { count },
    12 => PutUser(user),
    13 => DeleteUser { name },
    14 => PutAcl(entry),
    15 => DeleteAcl(entry),
});

coded!(struct Registration {
    id, site, storage, boot, known_boots, addresses, rack, holder_is_alive, at,
});

coded!(struct Addresses { peer, http });

coded!(struct Node {
    id, slot, storage, disk, awaits_disk, boot, incarnation, addresses, rack, state, fenced, joined,
});

coded!(enum NodeState {
    0 => Active,
    1 => Draining,
});

coded!(struct Topic { id, name, mode, created, settings, changed, partitions });

coded!(enum Mode {
    0 => Leader,
    1 => Gossip,
});

coded!(struct TopicSettings { retention, retention_bytes, segment_bytes, max_message_bytes });

coded!(struct TopicChanges { retention, retention_bytes, segment_bytes, max_message_bytes });

coded!(struct PartitionId { topic, index });

coded!(struct User { name, credential });

coded!(struct AclEntry { principal, operation, resource, effect });

coded!(enum Operation {
    0 => Read,
    1 => Write,
    2 => Admin,
});

coded!(enum Resource {
    0 => Cluster,
    1 => Topic(name),
    2 => Group(name),
});

coded!(enum Effect {
    0 => Allow,
    1 => Deny,
});

coded!(enum Outcome {
    0 => Done,
    1 => Registered { cluster, id, raft_id, slot, incarnation },
    2 => Topic(topic),
    3 => ProducerIds { first, count },
});

coded!(enum Refusal {
    1 => Founding,
    2 => OtherCluster { theirs, ours },
    3 => IdTaken(id, address),
    4 => OtherDisk { id, registered, given },
    5 => OtherId { registered },
    6 => OldCopy(id),
    7 => AlreadyRunning(id, address),
    8 => Removed(id),
    9 => DiskForgotten(id),
    10 => Running(id),
    11 => LastNode(id),
    12 => SiteFull(site),
    13 => UnknownNode(id),
    14 => Stale,
    15 => HoldsPartitions { id, partitions },
    16 => TopicExists(name),
    17 => UnknownTopic,
    18 => Partitions(count),
    19 => Replication(copies),
    20 => Mode,
    21 => NoPlace,
    22 => InvalidPartition,
    23 => Invalid(message),
    24 => Limit(message),
    25 => HoldsGroups(id),
});
