use super::*;

fn source(number: usize) -> Source {
    let number = u32::try_from(number).unwrap();
    Source::of(std::net::Ipv4Addr::from_bits(number).into())
}

fn is_dismissed(stranger: &mut Stranger) -> bool {
    stranger.dismissed.try_recv() == Err(oneshot::error::TryRecvError::Closed)
}

/// Who is left of these, by place.
fn left(waiting: &mut [Stranger]) -> Vec<usize> {
    let places = waiting.iter_mut().enumerate();
    let left = places.filter_map(|(place, one)| (!is_dismissed(one)).then_some(place));
    left.collect()
}

#[test]
fn one_address_has_so_many_places_and_its_oldest_goes() {
    let (room, known) = (Strangers::default(), Acquaintances::default());
    let mut crowd: Vec<_> = (0..PEER_HANDSHAKES_PER_ADDRESS_MAX + 3)
        .map(|_| room.arrive(source(1), &known).unwrap())
        .collect();
    let expected: Vec<usize> = (3..crowd.len()).collect();
    assert_eq!(left(&mut crowd), expected);
    assert_eq!(room.0.lock().count, PEER_HANDSHAKES_PER_ADDRESS_MAX);
    assert_eq!(
        room.0.lock().crowded.line(),
        None,
        "told of once, and not with each"
    );
    let mut other = room.arrive(source(2), &known).unwrap();
    assert!(!is_dismissed(&mut other));
    assert_eq!(left(&mut crowd), expected, "there is room for others");
}

#[test]
fn where_a_node_was_met_all_places_may_be_taken() {
    let (room, known) = (Strangers::default(), Acquaintances::default());
    known.add(source(1));
    let mut crowd: Vec<_> = (0..PEER_HANDSHAKES_MAX)
        .map(|_| room.arrive(source(1), &known).unwrap())
        .collect();
    assert_eq!(left(&mut crowd).len(), PEER_HANDSHAKES_MAX);
    assert!(room.arrive(source(2), &known).is_none(), "nobody knows it");
    known.add(source(3));
    let mut newcomer = room.arrive(source(3), &known).unwrap();
    assert!(!is_dismissed(&mut newcomer));
    assert_eq!(left(&mut crowd).len(), PEER_HANDSHAKES_MAX - 1);
}

#[test]
fn a_crowd_from_everywhere_makes_room_from_its_oldest() {
    let (room, known) = (Strangers::default(), Acquaintances::default());
    known.add(source(0));
    let mut node = room.arrive(source(0), &known).unwrap();
    let mut crowd: Vec<_> = (1..PEER_HANDSHAKES_MAX)
        .map(|number| room.arrive(source(number), &known).unwrap())
        .collect();
    // From the address that two come from, though others wait longer.
    let mut twice = room.arrive(source(100), &known).unwrap();
    assert!(is_dismissed(&mut crowd[99]));
    assert!(!is_dismissed(&mut twice));
    let newcomer = room.arrive(source(5000), &known).unwrap();
    assert!(is_dismissed(&mut crowd[0]));
    assert!(!is_dismissed(&mut node), "it is known");
    drop((node, crowd, twice, newcomer));
    let room = room.0.lock();
    assert_eq!((room.count, room.by_source.len()), (0, 0));
}

#[tokio::test]
async fn who_has_to_go_is_told() {
    let (room, known) = (Strangers::default(), Acquaintances::default());
    let mut first = room.arrive(source(1), &known).unwrap();
    let _others: Vec<_> = (0..PEER_HANDSHAKES_PER_ADDRESS_MAX)
        .map(|_| room.arrive(source(1), &known).unwrap())
        .collect();
    first.dismissed().await;
}
