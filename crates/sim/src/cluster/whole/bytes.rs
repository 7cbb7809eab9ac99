//! The few bytes of control's messages and records that checkers look at, as `control` documents them.

/// A vote: the term, the node, and whether a quorum has given it.
pub(super) type Vote = (u64, u64, bool);
/// Where an entry comes from: the term and the node that led.
pub(super) type Origin = (u64, u64);

/// What an entry of the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Payload {
    Blank,
    Command {
        proposal: [u8; 16],
        command: Vec<u8>,
    },
    /// Voters, one list for each half of a change.
    Voters(Vec<Vec<u64>>),
}

/// Takes values off bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn vote(&mut self) -> Option<Vote> {
        Some((self.u64()?, self.u64()?, self.u8()? == 1))
    }

    fn position(&mut self) -> Option<(Origin, u64)> {
        Some(((self.u64()?, self.u64()?), self.u64()?))
    }

    fn optional_position(&mut self) -> Option<Option<(Origin, u64)>> {
        match self.u8()? {
            0 => Some(None),
            _ => self.position().map(Some),
        }
    }

    fn voters(&mut self) -> Option<Vec<Vec<u64>>> {
        let sets = self.u8()?;
        let mut all = Vec::new();
        for _ in 0..sets {
            let count = self.take().map(u16::from_be_bytes)?;
            all.push((0..count).map(|_| self.u64()).collect::<Option<_>>()?);
        }
        Some(all)
    }
}

/// A request, as far as anybody looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Entries up to this index, if there is any in the log.
    Append {
        vote: Vote,
        last: Option<u64>,
    },
    Vote(Vote),
    Transfer {
        vote: Vote,
        to: u64,
    },
    Other,
}

pub(super) fn asked(request: &[u8]) -> Asked {
    read_asked(request).unwrap_or(Asked::Other)
}

fn read_asked(request: &[u8]) -> Option<Asked> {
    let mut r = Reader(request);
    Some(match r.u8()? {
        1 => {
            let vote = r.vote()?;
            let previous = r.optional_position()?.map(|(_, index)| index);
            r.optional_position()?;
            let count = r.take().map(u32::from_be_bytes)?;
            let first = previous.map_or(0, |previous| previous + 1);
            let last = (first + u64::from(count)).checked_sub(1);
            Asked::Append { vote, last }
        }
        2 => Asked::Vote(r.vote()?),
        5 => Asked::Transfer {
            vote: r.vote()?,
            to: r.u64()?,
        },
        _ => Asked::Other,
    })
}

/// Whether an answer says yes to a vote, or that all entries are taken.
pub(super) fn says_yes(answer: &[u8]) -> bool {
    match answer {
        [1, taken, ..] => *taken == 0,
        [2, rest @ ..] => rest.get(17) == Some(&1),
        _ => false,
    }
}

/// An entry as it lies on disk.
pub(super) fn entry(bytes: &[u8]) -> Option<(Origin, Payload)> {
    let mut r = Reader(bytes);
    let (origin, _) = r.position()?;
    let payload = match r.u8()? {
        0 => Payload::Blank,
        1 => {
            let proposal = r.take()?;
            let length = r.take().map(u32::from_be_bytes)?;
            let command = r.bytes(length as usize)?.to_vec();
            Payload::Command { proposal, command }
        }
        _ => Payload::Voters(r.voters()?),
    };
    Some((origin, payload))
}

/// A vote as it lies on disk.
pub(super) fn vote(bytes: &[u8]) -> Option<Vote> {
    Reader(bytes).vote()
}

/// Up to where a snapshot goes, as it lies on disk.
pub(super) fn snapshot_end(bytes: &[u8]) -> Option<u64> {
    Some(Reader(bytes).optional_position()??.1)
}

/// Up to where the log was purged, as it lies on disk.
pub(super) fn purged(bytes: &[u8]) -> Option<u64> {
    Some(Reader(bytes).position()?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_and_its_answer() {
        let mut request = vec![2];
        request.extend([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 1, 0, 3, 0, 0, 0]);
        assert_eq!(asked(&request), Asked::Vote((7, 0x1_0003, false)));
        let mut answer = vec![2; 18];
        answer.extend([1, 0]);
        assert!(says_yes(&answer));
        answer[18] = 0;
        assert!(!says_yes(&answer));
    }

    #[test]
    fn entries_that_are_taken() {
        let mut request = vec![1];
        request.extend([0; 17]);
        request.extend([0, 0, 0, 0, 0, 0]);
        let vote = (0, 0, false);
        assert_eq!(asked(&request), Asked::Append { vote, last: None });
        request[23] = 2;
        assert_eq!(
            asked(&request),
            Asked::Append {
                vote,
                last: Some(1)
            }
        );
        assert!(says_yes(&[1, 0]) && !says_yes(&[1, 2]));
    }
}
