//! The table, the committed description and the JSON shapes agree.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;
use crate::dto;

fn description() -> Value {
    serde_json::from_str(include_str!("../../openapi.json")).unwrap()
}

#[test]
fn the_description_has_exactly_the_routes_of_the_table() {
    let description = description();
    let paths = description["paths"].as_object().unwrap();
    let described = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase(), path.clone()))
    });
    let table = ROUTES
        .iter()
        .map(|route| (route.method.to_owned(), route.path.to_owned()));
    assert_eq!(
        described.collect::<BTreeSet<_>>(),
        table.collect::<BTreeSet<_>>()
    );
}

#[test]
fn the_description_is_of_this_version() {
    assert_eq!(description()["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_label_is_a_path_of_the_table() {
    let cases = [
        ("/", "/"),
        ("/poll", "/poll"),
        ("/topics", "/topics"),
        ("/topics/x/last", "/topics/{topic}/last"),
        ("/admin/groups/g/reset", "/admin/groups/{group}/reset"),
        ("/topics/", UNMATCHED),
        ("/topics//last", UNMATCHED),
        ("/topics/x/last/more", UNMATCHED),
        ("*", UNMATCHED),
    ];
    for (path, expected) in cases {
        assert_eq!(label(path), expected, "{path}");
    }
}

#[test]
fn path_parameters_are_described() {
    let description = description();
    for route in ROUTES {
        let operation = &description["paths"][route.path][route.method.to_lowercase()];
        let in_path: Vec<&str> = parameters(operation, "path");
        let named: Vec<&str> = route
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        assert_eq!(in_path, named, "{} {}", route.method, route.path);
    }
}

/// A parser refuses an unknown parameter by naming those it knows.
#[test]
fn query_parameters_are_described() {
    let description = description();
    let check = |method: &str, path: &str, known: Vec<String>| {
        let described = parameters(&description["paths"][path][method], "query");
        let described: BTreeSet<String> = described.into_iter().map(String::from).collect();
        assert_eq!(described, known.into_iter().collect(), "{method} {path}");
    };
    check("get", "/poll", known::<poll::PollQuery>());
    check(
        "post",
        "/topics/{topic}/records",
        known::<publish::RecordsQuery>(),
    );
    check("post", "/producers", known::<batches::ProducerQuery>());
    check(
        "post",
        "/topics/{topic}/batches",
        known::<batches::BatchQuery>(),
    );
    check(
        "get",
        "/topics/{topic}/stream",
        known::<crate::follow::FollowQuery>(),
    );
    check(
        "get",
        "/topics/{topic}/ws",
        known::<crate::follow::FollowQuery>(),
    );
    for (method, path) in [
        ("delete", "/admin/nodes/{node}"),
        ("post", "/admin/nodes/{node}/replace"),
    ] {
        check(method, path, known::<nodes::LossQuery>());
    }
    let mut of_create = known::<admin::CreateQuery>();
    of_create.retain(|name| name != "replication_factor");
    check("post", "/admin/topics", of_create);
}

fn parameters<'a>(operation: &'a Value, place: &str) -> Vec<&'a str> {
    let all = operation["parameters"].as_array();
    let of_place = all
        .into_iter()
        .flatten()
        .filter(|parameter| parameter["in"] == place);
    of_place
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect()
}

fn known<T: DeserializeOwned>() -> Vec<String> {
    let error = serde_json::from_str::<T>(r#"{"no such parameter":1}"#)
        .err()
        .unwrap()
        .to_string();
    let (_, names) = error.split_once("expected ").unwrap();
    names
        .split('`')
        .skip(1)
        .step_by(2)
        .map(String::from)
        .collect()
}

/// Reads the example as `T` and writes it again.
fn round_trip<T: Serialize + DeserializeOwned>(example: &Value) -> Value {
    let value: T = serde_json::from_value(example.clone()).unwrap();
    serde_json::to_value(value).unwrap()
}

#[test]
fn examples_are_what_the_code_reads_and_writes() {
    type RoundTrip = fn(&Value) -> Value;
    let checks: &[(&str, RoundTrip)] = &[
        ("AssignmentAnswer", round_trip::<dto::AssignmentAnswer>),
        ("BatchReceipt", round_trip::<dto::BatchReceipt>),
        ("BrokerEntry", round_trip::<dto::BrokerEntry>),
        ("BrokerMap", round_trip::<dto::BrokerMap>),
        ("BulkReceipt", round_trip::<dto::BulkReceipt>),
        ("ClusterAnswer", round_trip::<dto::ClusterAnswer>),
        ("CommitAnswer", round_trip::<dto::CommitAnswer>),
        ("CommitRequest", round_trip::<dto::CommitRequest>),
        ("ConfigRequest", round_trip::<dto::ConfigRequest>),
        ("CreateTopicRequest", round_trip::<dto::CreateTopicRequest>),
        (
            "DeleteRecordsRequest",
            round_trip::<dto::DeleteRecordsRequest>,
        ),
        ("DeletedAnswer", round_trip::<dto::DeletedAnswer>),
        ("ErrorAnswer", round_trip::<dto::ErrorAnswer>),
        ("ErrorBody", round_trip::<dto::ErrorBody>),
        ("Gap", round_trip::<dto::GapAnswer>),
        ("Group", round_trip::<dto::GroupAnswer>),
        ("GroupsAnswer", round_trip::<dto::GroupsAnswer>),
        ("Headers", round_trip::<dto::Headers>),
        ("HealthAnswer", round_trip::<dto::HealthAnswer>),
        ("LastAnswer", round_trip::<dto::LastAnswer<'static>>),
        ("Node", round_trip::<dto::NodeAnswer>),
        ("Partition", round_trip::<dto::PartitionAnswer>),
        ("PartitionReceipt", round_trip::<dto::PartitionReceipt>),
        ("PollAnswer", round_trip::<dto::PollAnswer<'static>>),
        ("ProducerAnswer", round_trip::<dto::ProducerAnswer>),
        ("ProducerTopic", round_trip::<dto::ProducerTopic>),
        ("PublishLine", |example| {
            let text = example.to_string();
            serde_json::to_value(serde_json::from_str::<dto::PublishLine<'_>>(&text).unwrap())
                .unwrap()
        }),
        ("PublishRequest", round_trip::<dto::PublishRequest>),
        ("Receipt", round_trip::<dto::Receipt>),
        ("Record", round_trip::<dto::RecordAnswer<'static>>),
        ("ReplicasAnswer", round_trip::<dto::ReplicasAnswer>),
        ("ResetRequest", round_trip::<dto::ResetRequest>),
        ("SocketFrame", round_trip::<dto::SocketFrame<'static>>),
        ("StatusAnswer", round_trip::<dto::StatusAnswer>),
        ("SubscribeRequest", round_trip::<dto::SubscribeRequest>),
        ("TopicAnswer", round_trip::<dto::TopicAnswer>),
        ("TopicConfig", round_trip::<dto::TopicConfig>),
        ("TopicSummary", round_trip::<dto::TopicSummary>),
        ("TopicsAnswer", round_trip::<dto::TopicsAnswer>),
        ("UnsubscribeRequest", round_trip::<dto::UnsubscribeRequest>),
    ];
    let description = description();
    let schemas = description["components"]["schemas"].as_object().unwrap();
    let checked: BTreeSet<&str> = checks.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        schemas.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        checked
    );
    for (name, round_trip) in checks {
        let example = &schemas[*name]["example"];
        assert_eq!(&round_trip(example), example, "{name}");
    }
}

#[test]
fn schemas_have_the_fields_of_the_code() {
    let description = description();
    let schemas = description["components"]["schemas"].as_object().unwrap();
    let check = |schema: &str, known: Vec<String>| {
        let properties = schemas[schema]["properties"].as_object().unwrap();
        let described: BTreeSet<String> = properties.keys().cloned().collect();
        assert_eq!(described, known.into_iter().collect(), "{schema}");
    };
    check("PublishRequest", known::<dto::PublishRequest>());
    check("PublishLine", known::<dto::PublishRequest>());
    check("SubscribeRequest", known::<dto::SubscribeRequest>());
    check("UnsubscribeRequest", known::<dto::UnsubscribeRequest>());
    check("CommitRequest", known::<dto::CommitRequest>());
    check("ConfigRequest", known::<dto::ConfigRequest>());
    check("DeleteRecordsRequest", known::<dto::DeleteRecordsRequest>());
    check("ResetRequest", known::<dto::ResetRequest>());
    let mut of_create = known::<dto::CreateTopicRequest>();
    of_create.retain(|name| name != "rf");
    check("CreateTopicRequest", of_create);
}

#[test]
fn references_lead_somewhere() {
    let description = description();
    let mut pending = vec![&description];
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    let pointer = target.strip_prefix('#').unwrap();
                    assert!(description.pointer(pointer).is_some(), "{target}");
                }
                pending.extend(map.values());
            }
            Value::Array(list) => pending.extend(list),
            _ => {}
        }
    }
}
