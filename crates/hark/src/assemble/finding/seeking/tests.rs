//! A table of situations: what comes in, and what one node makes of it.

mod world;

use expect_test::{Expect, expect};

use super::*;

fn address(text: &str) -> PeerAddress {
    text.parse().unwrap()
}

/// Node `n` lives at `n{n}:7946` and wants the id `n`.
fn candidate(n: u8) -> Candidate {
    Candidate {
        wanted: Some(NodeId(u16::from(n))),
        storage: StorageId::from_bytes([n; 16]),
    }
}

fn home(n: u8) -> PeerAddress {
    address(&format!("n{n}:7946"))
}

fn entry(n: u8) -> Entry {
    Entry {
        written: home(n).to_string(),
        addresses: Ok(vec![home(n)]),
    }
}

const RULES: Rules = Rules {
    bootstrap: false,
    may_stand_alone: true,
};

fn cluster(n: u8) -> ClusterId {
    ClusterId::from_bytes([n; 16])
}

/// Node 2, which hears this, one millisecond after the other: what it does, and for whom it waits.
fn check(rules: Rules, inputs: Vec<Input>, expected: &Expect) {
    let mut seeking = Seeking::new(candidate(2), home(2), rules, Instant::ZERO);
    let mut told = String::new();
    let mut now = Instant::ZERO;
    for input in inputs {
        now = now.after(Duration::from_millis(1));
        seeking.handle(now, input);
        let mut outputs = Vec::new();
        while let Some(output) = seeking.poll() {
            outputs.push(shown(&output));
        }
        told += &format!("[{}] waits for {}\n", outputs.join(" "), seeking.waiting());
    }
    expected.assert_eq(&told);
}

fn shown(output: &Output) -> String {
    let list = |addresses: &[PeerAddress]| {
        let hosts: Vec<&str> = addresses.iter().map(PeerAddress::host).collect();
        hosts.join("+")
    };
    match output {
        Output::Ask(peer) => format!("ask {}", peer.host()),
        Output::Found => "FOUND".to_owned(),
        Output::Join(_, through) => format!("JOIN {}", list(through)),
        Output::Torn(a, b) => format!("TORN {} {}", a.host(), b.host()),
    }
}

fn listed(nodes: &[u8]) -> Input {
    Input::Listed(nodes.iter().map(|n| entry(*n)).collect())
}

fn answered(n: u8, stage: Stage, known: &[u8]) -> Input {
    let answer = Answer {
        who: candidate(n),
        stage,
        known: known.iter().map(|n| home(*n)).collect(),
    };
    Input::Answered(home(n), answer)
}

fn fresh(n: u8) -> Input {
    answered(n, Stage::Fresh, &[])
}

fn silent(n: u8) -> Input {
    Input::Silent(home(n), "refused".to_owned())
}

fn asked(n: u8) -> Input {
    Input::Asked(Question {
        who: candidate(n),
        address: home(n),
    })
}

#[test]
fn alone_it_founds_at_once() {
    check(
        RULES,
        vec![listed(&[])],
        &expect![[r#"
        [FOUND] waits for the list names nobody but this node
    "#]],
    );
    check(
        RULES,
        vec![listed(&[2])],
        &expect![[r#"
        [FOUND] waits for the list names nobody but this node
    "#]],
    );
}

#[test]
fn a_name_that_brings_only_this_node_does_not_mean_alone() {
    let rules = Rules {
        may_stand_alone: false,
        ..RULES
    };
    check(
        rules,
        vec![listed(&[2]), listed(&[2, 3]), fresh(3)],
        &expect![[r#"
        [] waits for the list names nobody but this node
        [ask n3] waits for n3:7946 (no answer yet)
        [FOUND] waits for the list names nobody but this node
    "#]],
    );
}

#[test]
fn the_lowest_founds_when_all_have_answered() {
    check(
        RULES,
        vec![listed(&[2, 3, 4]), fresh(3), fresh(4)],
        &expect![[r#"
        [ask n4 ask n3] waits for n3:7946 (no answer yet), n4:7946 (no answer yet)
        [] waits for n4:7946 (no answer yet)
        [FOUND] waits for the list names nobody but this node
    "#]],
    );
}

#[test]
fn another_one_waits_for_the_lowest_and_joins() {
    let member = answered(1, Stage::Member(cluster(1)), &[]);
    let founding = answered(1, Stage::Founding, &[]);
    let inputs = vec![listed(&[1, 3]), fresh(3), fresh(1), founding, member];
    check(
        RULES,
        inputs,
        &expect![[r#"
        [ask n3 ask n1] waits for n1:7946 (no answer yet), n3:7946 (no answer yet)
        [] waits for n1:7946 (no answer yet)
        [] waits for n1:7946 (ready, and the first to found)
        [] waits for n1:7946 (about to found)
        [JOIN n1] waits for the list names nobody but this node
    "#]],
    );
}

#[test]
fn one_that_is_silent_holds_everybody_back() {
    let inputs = vec![listed(&[3, 4]), silent(4), fresh(3), fresh(4)];
    check(
        RULES,
        inputs,
        &expect![[r#"
        [ask n4 ask n3] waits for n3:7946 (no answer yet), n4:7946 (no answer yet)
        [] waits for n3:7946 (no answer yet), n4:7946 (refused)
        [] waits for n4:7946 (refused)
        [FOUND] waits for the list names nobody but this node
    "#]],
    );
}

#[test]
fn a_cluster_is_joined_whoever_is_silent() {
    let member = answered(4, Stage::Member(cluster(1)), &[3]);
    let inputs = vec![listed(&[3, 4]), silent(3), member, silent(4)];
    check(
        RULES,
        inputs,
        &expect![[r#"
        [ask n4 ask n3] waits for n3:7946 (no answer yet), n4:7946 (no answer yet)
        [] waits for n3:7946 (refused), n4:7946 (no answer yet)
        [JOIN n4] waits for n3:7946 (refused)
        [] waits for n3:7946 (refused), n4:7946 (refused)
    "#]],
    );
}

#[test]
fn two_clusters_are_a_question_for_a_person() {
    let members = [1, 3].map(|n| answered(n, Stage::Member(cluster(n)), &[]));
    // Both must be known before the first is acted on.
    let mut seeking = Seeking::new(candidate(2), home(2), RULES, Instant::ZERO);
    seeking.handle(Instant::ZERO, listed(&[1, 3]));
    for member in members {
        seeking.handle(Instant::ZERO, member);
    }
    let outputs = std::iter::from_fn(|| seeking.poll());
    let outputs: Vec<String> = outputs.map(|output| shown(&output)).collect();
    assert_eq!(outputs, ["ask n3", "ask n1", "TORN n1 n3"]);
}

#[test]
fn whoever_asks_counts_and_so_does_whom_a_peer_knows() {
    let inputs = vec![
        listed(&[3]),
        asked(1),
        fresh(3),
        answered(3, Stage::Fresh, &[4]),
        fresh(1),
        answered(1, Stage::Member(cluster(1)), &[]),
    ];
    check(
        RULES,
        inputs,
        &expect![[r#"
        [ask n3] waits for n3:7946 (no answer yet)
        [ask n1] waits for n1:7946 (no answer yet), n3:7946 (no answer yet)
        [] waits for n1:7946 (no answer yet)
        [ask n4] waits for n1:7946 (no answer yet), n4:7946 (no answer yet)
        [] waits for n1:7946 (ready, and the first to found), n4:7946 (no answer yet)
        [JOIN n1] waits for n4:7946 (no answer yet)
    "#]],
    );
}

#[test]
fn told_to_found_it_asks_everybody_once() {
    let rules = Rules {
        bootstrap: true,
        ..RULES
    };
    check(
        rules,
        vec![listed(&[])],
        &expect![[r#"
        [FOUND] waits for the list names nobody but this node
    "#]],
    );
    check(
        rules,
        vec![listed(&[1, 3]), silent(1), fresh(3)],
        &expect![[r#"
        [ask n3 ask n1] waits for n1:7946 (no answer yet), n3:7946 (no answer yet)
        [] waits for n1:7946 (refused), n3:7946 (no answer yet)
        [FOUND] waits for n1:7946 (refused)
    "#]],
    );
    let member = answered(1, Stage::Member(cluster(1)), &[]);
    check(
        rules,
        vec![listed(&[1, 3]), silent(3), member],
        &expect![[r#"
        [ask n3 ask n1] waits for n1:7946 (no answer yet), n3:7946 (no answer yet)
        [] waits for n1:7946 (no answer yet), n3:7946 (refused)
        [JOIN n1] waits for n3:7946 (refused)
    "#]],
    );
}

#[test]
fn a_name_that_is_not_known_is_waited_for() {
    let unknown = Entry {
        written: "nowhere:7946".to_owned(),
        addresses: Err("the name is not known".to_owned()),
    };
    let inputs = vec![
        Input::Listed(vec![entry(3), unknown]),
        fresh(3),
        listed(&[3]),
    ];
    check(
        RULES,
        inputs,
        &expect![[r#"
        [ask n3] waits for nowhere:7946 (the name is not known), n3:7946 (no answer yet)
        [] waits for nowhere:7946 (the name is not known)
        [FOUND] waits for the list names nobody but this node
    "#]],
    );
}

#[test]
fn one_that_moved_is_not_waited_for_where_it_was() {
    let mut moved = asked(4);
    if let Input::Asked(question) = &mut moved {
        question.address = address("elsewhere:7946");
    }
    let answer = Answer {
        who: candidate(4),
        stage: Stage::Fresh,
        known: Vec::new(),
    };
    let inputs = vec![
        listed(&[3]),
        fresh(3),
        asked(4),
        silent(4),
        moved,
        Input::Answered(address("elsewhere:7946"), answer),
        listed(&[3]),
    ];
    let mut seeking = Seeking::new(candidate(5), home(5), RULES, Instant::ZERO);
    for input in inputs {
        seeking.handle(Instant::ZERO, input);
    }
    assert_eq!(
        seeking.waiting().to_string(),
        "elsewhere:7946 (ready, and the first to found), n3:7946 (ready, and the first to found)"
    );
}

#[test]
fn a_node_with_the_same_address_gets_no_answer() {
    let mut seeking = Seeking::new(candidate(2), home(2), RULES, Instant::ZERO);
    let mut question = Question {
        who: candidate(3),
        address: home(2),
    };
    seeking.handle(Instant::ZERO, Input::Asked(question.clone()));
    assert_eq!(seeking.answer(&question), None);
    question.who = candidate(2);
    assert!(seeking.answer(&question).is_some());
}

#[test]
fn peers_are_asked_again_ever_more_slowly() {
    let mut seeking = Seeking::new(candidate(2), home(2), RULES, Instant::ZERO);
    seeking.handle(Instant::ZERO, listed(&[3]));
    let mut pauses = Vec::new();
    let mut now = Instant::ZERO;
    for _ in 0..7 {
        assert_eq!(seeking.poll(), Some(Output::Ask(home(3))));
        seeking.handle(now, silent(3));
        let next = seeking.deadline().unwrap();
        pauses.push(next.since(now).as_millis());
        now = next;
        seeking.handle(now, Input::Tick);
    }
    assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
}
