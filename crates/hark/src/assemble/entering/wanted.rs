//! Whether those who answer want a member back.

use model::ClusterId;
use peer::{Rejection, RejectionCode, Side};

use crate::assemble::finding::{Answer, Stage};
use crate::assemble::wiring::Unanswered;
use crate::exit::{Exit, Failure, Outcome};

/// A member that talks to nobody learns from a refusal alone that it must not go on: its cluster knows a
/// newer copy of its directory, or has given it up, or the peers that it was told of are all of another
/// cluster. With each answer comes whether it is of such a peer: where a member of its own cluster was,
/// this node itself perhaps, anybody may be by now.
pub(super) fn check_wanted<'a>(
    mine: ClusterId,
    answers: impl Iterator<Item = (&'a Result<Answer, Unanswered>, bool)>,
) -> Outcome {
    let (mut strangers, mut own) = (false, false);
    for (answer, is_told_of) in answers {
        let rejection = match answer {
            Ok(answer) => {
                own |= answer.stage == Stage::Member(mine);
                continue;
            }
            Err(unanswered) => unanswered.rejection.as_ref(),
        };
        match rejection {
            Some(Rejection {
                code: RejectionCode::OldCopy | RejectionCode::Removed | RejectionCode::OtherDisk,
                reason,
                by: Side::Them,
            }) => return Err(Failure::new(Exit::Refused, reason.as_str())),
            Some(rejection) if is_told_of => {
                strangers |= rejection.code == RejectionCode::OtherCluster;
            }
            _ => {}
        }
    }
    if strangers && !own {
        let why = format!(
            "this data directory belongs to cluster {mine}, and the peers belong to another one; \
             name the peers of its own cluster, or start with an empty directory"
        );
        return Err(Failure::new(Exit::Refused, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::StorageId;

    use super::*;
    use crate::assemble::finding::Candidate;

    fn member_of(cluster: u8) -> Result<Answer, Unanswered> {
        Ok(Answer {
            who: Candidate {
                wanted: None,
                storage: StorageId::from_bytes([1; 16]),
            },
            stage: Stage::Member(ClusterId::from_bytes([cluster; 16])),
            known: Vec::new(),
        })
    }

    fn rejected(code: RejectionCode, by: Side) -> Result<Answer, Unanswered> {
        let rejection = Rejection {
            code,
            reason: format!("{code:?}"),
            by,
        };
        Err(Unanswered::from(peer::CallError::Refused(rejection)))
    }

    #[test]
    fn a_member_goes_on_unless_its_own_cluster_or_everybody_refuses_it() {
        use RejectionCode::{OldCopy, OtherCluster, OtherNode, Removed};
        let silent = || Err(Unanswered::from(peer::CallError::Closed));
        let cases = [
            (vec![], None),
            (vec![silent(), member_of(7)], None),
            (vec![rejected(OtherNode, Side::Them), silent()], None),
            (vec![rejected(OldCopy, Side::Us)], None),
            (
                vec![member_of(7), rejected(OldCopy, Side::Them)],
                Some("OldCopy"),
            ),
            (
                vec![silent(), rejected(Removed, Side::Them)],
                Some("Removed"),
            ),
            (vec![rejected(OtherCluster, Side::Them), member_of(7)], None),
            (
                vec![rejected(OtherCluster, Side::Us), silent()],
                Some("another one"),
            ),
        ];
        for (answers, expected) in cases {
            let told_of = answers.iter().map(|answer| (answer, true));
            let checked = check_wanted(ClusterId::from_bytes([7; 16]), told_of);
            match expected {
                None => assert_eq!(checked, Ok(()), "{answers:?}"),
                Some(words) => {
                    let failure = checked.unwrap_err();
                    assert!(failure.message.contains(words), "{failure}");
                    assert_eq!(failure.exit, Exit::Refused);
                }
            }
        }
    }
    #[test]
    fn another_cluster_where_a_member_once_was_says_nothing() {
        let mine = ClusterId::from_bytes([7; 16]);
        let check = |code| {
            let answer = rejected(code, Side::Them);
            check_wanted(mine, [(&answer, false)].into_iter())
        };
        assert_eq!(check(RejectionCode::OtherCluster), Ok(()));
        assert!(check(RejectionCode::Removed).is_err());
    }
}
