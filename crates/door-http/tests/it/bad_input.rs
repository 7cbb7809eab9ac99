//! Bad input, each with the answer that is promised for it.

use std::time::Duration;

use door_http::ServerOptions;
use serde_json::Value;

use crate::node::{Node, cursor, node_with};

/// A request as bytes. `{H}` stands for a host line and one that asks to close.
struct Case {
    name: &'static str,
    request: Vec<u8>,
    status: u16,
    /// Empty: the answer has no body, as it comes before there is a request.
    code: &'static str,
}

fn case(name: &'static str, request: impl AsRef<[u8]>, status: u16, code: &'static str) -> Case {
    let text = request.as_ref();
    let at = text.windows(3).position(|window| window == b"{H}");
    let request = match at {
        Some(at) => {
            let hosts = b"host: localhost\r\nconnection: close\r\n";
            [&text[..at], hosts, &text[at + 3..]].concat()
        }
        None => text.to_vec(),
    };
    Case {
        name,
        request,
        status,
        code,
    }
}

/// A GET of this target.
fn get(name: &'static str, target: &str, status: u16, code: &'static str) -> Case {
    case(
        name,
        format!("GET {target} HTTP/1.1\r\n{{H}}\r\n"),
        status,
        code,
    )
}

/// A POST of this JSON.
fn post(name: &'static str, path: &str, body: &str, status: u16, code: &'static str) -> Case {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\n{{H}}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    case(name, request, status, code)
}

fn options() -> ServerOptions {
    ServerOptions {
        header_timeout: Duration::from_millis(200),
        body_timeout: Duration::from_millis(200),
        body_bytes_max: 64 * 1024,
        ..ServerOptions::default()
    }
}

async fn check(node: &Node, cases: Vec<Case>) {
    for case in cases {
        let answer = node.raw(&case.request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).unwrap_or_default();
        assert_eq!(status, case.status.to_string(), "{}: {answer}", case.name);
        if case.code.is_empty() {
            assert_eq!(body, "", "{}", case.name);
            continue;
        }
        let json: Value =
            serde_json::from_str(body).unwrap_or_else(|_| panic!("{}: {answer}", case.name));
        assert_eq!(json["error"]["code"], case.code, "{}: {answer}", case.name);
        let message = json["error"]["message"].as_str().unwrap();
        assert!(
            !message.is_empty() && !message.chars().any(char::is_control),
            "{}: {message:?}",
            case.name
        );
        assert!(
            head.to_lowercase()
                .contains("content-type: application/json"),
            "{}: {head}",
            case.name
        );
    }
    let (status, _) = node.get("/healthz").await;
    assert_eq!(status, 200, "the node lives on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_not_http() {
    let node = node_with(options()).await;
    let long_head = format!("GET / HTTP/1.1\r\n{{H}}x: {}\r\n\r\n", "y".repeat(20_000));
    let endless_head = format!("GET / HTTP/1.1\r\n{{H}}x: {}", "y".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\n{{H}}{}\r\n", "a: b\r\n".repeat(200));
    let long_target = format!("/{}", "a".repeat(70_000));
    check(
        &node,
        vec![
            case("garbage", "\x16\x03\x01 hello\r\n\r\n", 400, ""),
            case("a head over the limit", long_head, 431, ""),
            case("a head without end", endless_head, 431, ""),
            case("ten times the usual headers", many, 431, ""),
            get("a target over the limit", &long_target, 431, ""),
            case(
                "a space in a header name",
                "GET / HTTP/1.1\r\n{H}a b: c\r\n\r\n",
                400,
                "",
            ),
            case(
                "two lengths",
                "POST /publish HTTP/1.1\r\n{H}content-length: 1\r\ncontent-length: 2\r\n\r\nab",
                400,
                "",
            ),
            case(
                "a length that is no number",
                "POST /publish HTTP/1.1\r\n{H}content-length: -1\r\n\r\n",
                400,
                "",
            ),
            case(
                "an unknown transfer coding",
                "POST /publish HTTP/1.1\r\n{H}transfer-encoding: gzip\r\n\r\n",
                400,
                "",
            ),
            case("another version", "GET / HTTP/3.0\r\n{H}\r\n", 400, ""),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "it is a table")]
async fn paths_and_methods() {
    let node = node_with(options()).await;
    check(
        &node,
        vec![
            get("no such path", "/nothing/here", 404, "not_found"),
            get("a trailing slash", "/topics/", 404, "not_found"),
            case(
                "another method",
                "DELETE /publish HTTP/1.1\r\n{H}\r\n",
                405,
                "method_not_allowed",
            ),
            case(
                "an unknown method",
                "BREW /publish HTTP/1.1\r\n{H}\r\n",
                405,
                "method_not_allowed",
            ),
            get("two dots", "/topics/../last", 400, "invalid_path"),
            get(
                "two dots, escaped",
                "/topics/%2e%2e/last",
                400,
                "invalid_path",
            ),
            get(
                "two dots, half escaped",
                "/topics/.%2E/last",
                400,
                "invalid_path",
            ),
            get("a climb", "/%2e%2e/%2e%2e/etc/passwd", 400, "invalid_path"),
            get("NUL", "/topics/a%00b/last", 400, "invalid_path"),
            get(
                "a slash in a name",
                "/topics/a%2fb/last",
                400,
                "invalid_topic_name",
            ),
            get(
                "a line end in a name",
                "/topics/a%0d%0ab/last",
                400,
                "invalid_topic_name",
            ),
            get(
                "a terminal's escape in a name",
                "/topics/%1b[31m/last",
                400,
                "invalid_topic_name",
            ),
            get(
                "letters that look alike",
                "/topics/%d0%b0/last",
                400,
                "invalid_topic_name",
            ),
            get("not UTF-8", "/topics/%ff%fe/last", 400, "invalid_path"),
            get(
                "a long name",
                &format!("/topics/{}/last", "a".repeat(250)),
                400,
                "invalid_topic_name",
            ),
            get(
                "an unknown topic",
                "/topics/none/last",
                404,
                "unknown_topic",
            ),
            get(
                "a reserved topic",
                "/topics/__groups/last",
                404,
                "unknown_topic",
            ),
            get(
                "a group with a line end",
                "/admin/groups/a%0ab",
                400,
                "invalid_group_name",
            ),
            get("no WebSocket", "/topics/t/ws", 426, "websocket_required"),
            case(
                "a page of another site",
                "POST /publish HTTP/1.1\r\n{H}origin: http://evil.example\r\n\r\n",
                403,
                "cross_origin",
            ),
            case(
                "a page without a site",
                "GET /status HTTP/1.1\r\n{H}origin: null\r\n\r\n",
                403,
                "cross_origin",
            ),
            case(
                "an image of another site",
                "GET /poll?topic=t&group=g&consumer=c&auto_commit=true HTTP/1.1\r\n{H}sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\nsec-fetch-dest: image\r\n\r\n",
                403,
                "cross_origin",
            ),
            case(
                "a frame in a page of another port",
                "GET /poll?topic=t HTTP/1.1\r\n{H}sec-fetch-site: same-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: iframe\r\n\r\n",
                403,
                "cross_origin",
            ),
        ],
    )
    .await;
    let welcome = [
        "host: localhost:7070\r\norigin: http://localhost:7070",
        "host: localhost\r\nsec-fetch-site: same-origin\r\nsec-fetch-mode: cors\r\nsec-fetch-dest: empty",
        "host: localhost\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document",
    ];
    for headers in welcome {
        let request = format!("GET /healthz HTTP/1.1\r\n{headers}\r\nconnection: close\r\n\r\n");
        let answer = node.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{headers}: {answer}");
    }
}

/// What HTTP asks of an answer beside its status.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_say_what_would_do() {
    let node = node_with(options()).await;
    let cases = [
        ("DELETE /publish", "allow: POST"),
        ("PUT /admin/topics/t", "allow: GET,HEAD,PATCH,DELETE"),
        ("GET /topics/t/ws", "upgrade: websocket"),
        ("GET /status", "cache-control: no-store"),
    ];
    for (request, header) in cases {
        let request = format!("{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = node.raw(request.as_bytes()).await;
        assert!(
            answer.lines().any(|line| line == header),
            "{header}: {answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "it is a table")]
async fn query_parameters() {
    let node = node_with(options()).await;
    node.publish("t", "m").await;
    node.publish("u", "m").await;
    let (_, polled) = node.get("/poll?topic=u&from=earliest").await;
    let foreign = cursor(&polled);
    let mut damaged = foreign.to_owned();
    let last = damaged.pop().unwrap();
    damaged.push(if last == 'A' { 'Q' } else { 'A' });
    check(
        &node,
        vec![
            get("no topic", "/poll", 400, "invalid_query"),
            get(
                "an unknown parameter",
                "/poll?topic=t&tiemout_ms=5",
                400,
                "invalid_query",
            ),
            get(
                "a terminal's escape",
                "/poll?topic=t&%1b[31m=5",
                400,
                "invalid_query",
            ),
            get(
                "a parameter twice",
                "/poll?topic=t&topic=u",
                400,
                "invalid_query",
            ),
            get("no number", "/poll?topic=t&max=many", 400, "invalid_query"),
            get(
                "a negative number",
                "/poll?topic=t&max=-1",
                400,
                "invalid_query",
            ),
            get("none at all", "/poll?topic=t&max=0", 400, "invalid_query"),
            case(
                "a key that is no text",
                "POST /topics/t/records?key=%ff HTTP/1.1\r\n{H}\r\n",
                400,
                "invalid_query",
            ),
            get(
                "a huge number",
                "/poll?topic=t&max=99999999999999999999",
                400,
                "invalid_query",
            ),
            get(
                "cursor and from",
                "/poll?topic=t&cursor=x&from=latest",
                400,
                "invalid_query",
            ),
            get(
                "a consumer without group",
                "/poll?topic=t&consumer=c",
                400,
                "invalid_query",
            ),
            get(
                "a group without consumer",
                "/poll?topic=t&group=g",
                400,
                "invalid_query",
            ),
            get(
                "a partition in a group",
                "/poll?topic=t&group=g&consumer=c&partition=0",
                400,
                "invalid_query",
            ),
            get("a bad name", "/poll?topic=a/b", 400, "invalid_topic_name"),
            get(
                "a bad start",
                "/poll?topic=t&from=yesterday",
                400,
                "invalid_from",
            ),
            get(
                "no cursor",
                "/poll?topic=t&cursor=!!!",
                400,
                "invalid_cursor",
            ),
            get(
                "a damaged cursor",
                &format!("/poll?topic=t&cursor={damaged}"),
                400,
                "invalid_cursor",
            ),
            get(
                "a cursor of another topic",
                &format!("/poll?topic=t&cursor={foreign}"),
                400,
                "foreign_cursor",
            ),
            get(
                "a stream with it",
                &format!("/topics/t/stream?cursor={foreign}"),
                400,
                "foreign_cursor",
            ),
            get(
                "an offset past the end",
                "/poll?topic=t&from=7",
                409,
                "offset_out_of_range",
            ),
            get(
                "a huge offset",
                "/poll?topic=t&from=9223372036854775808",
                400,
                "invalid_from",
            ),
            get("an unknown topic", "/poll?topic=none", 404, "unknown_topic"),
            get(
                "an unknown partition",
                "/poll?topic=t&partition=9",
                404,
                "unknown_partition",
            ),
            get(
                "no partition",
                "/poll?topic=t&partition=0,x",
                400,
                "invalid_query",
            ),
            get(
                "a group name too long",
                &format!("/poll?topic=t&consumer=c&group={}", "g".repeat(250)),
                400,
                "invalid_group_name",
            ),
            get(
                "a session too short",
                "/poll?topic=t&group=g&consumer=c&session_timeout_ms=1",
                400,
                "invalid_session_timeout",
            ),
            get(
                "parameters where there are none",
                "/status?verbose=1",
                400,
                "invalid_query",
            ),
            case(
                "a topic without name",
                "POST /admin/topics?partitions=3 HTTP/1.1\r\n{H}\r\n",
                400,
                "invalid_query",
            ),
            case(
                "too many copies",
                "POST /admin/topics?name=x&rf=3 HTTP/1.1\r\n{H}\r\n",
                400,
                "invalid_replication_factor",
            ),
            case(
                "no partitions",
                "POST /admin/topics?name=x&partitions=0 HTTP/1.1\r\n{H}\r\n",
                400,
                "invalid_partitions",
            ),
            case(
                "too many partitions",
                "POST /admin/topics?name=x&partitions=4000000000 HTTP/1.1\r\n{H}\r\n",
                400,
                "invalid_partitions",
            ),
            case(
                "a promise that cannot be kept",
                "POST /admin/topics?name=x&mode=gossip HTTP/1.1\r\n{H}\r\n",
                400,
                "mode_not_available",
            ),
            case(
                "an unknown promise",
                "POST /admin/topics?name=x&mode=maybe HTTP/1.1\r\n{H}\r\n",
                400,
                "invalid_query",
            ),
            case(
                "a reserved name",
                "POST /admin/topics?name=__x HTTP/1.1\r\n{H}\r\n",
                400,
                "reserved_name",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_bodies() {
    let node = node_with(options()).await;
    node.publish("t", "m").await;
    let deep = format!(
        "{{\"topic\":\"t\",\"message\":{}1{}}}",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let bare_deep = "[".repeat(50_000);
    check(&node, vec![
        post("nothing", "/publish", "", 400, "invalid_json"),
        post("half of it", "/publish", "{\"topic\":\"t\",", 400, "invalid_json"),
        post("more than one", "/publish", "{\"topic\":\"t\",\"message\":\"m\"}{}", 400, "invalid_json"),
        post("a list", "/publish", "[]", 400, "invalid_request"),
        post("an unknown field", "/publish", "{\"topic\":\"t\",\"message\":\"m\",\"prio\":1}", 400, "invalid_request"),
        post("an escape in a field's name", "/publish", "{\"topic\":\"t\",\"\\u001b[31m\":1}", 400, "invalid_request"),
        post("a field twice", "/publish", "{\"topic\":\"t\",\"topic\":\"u\",\"message\":\"m\"}", 400, "invalid_request"),
        post("no message", "/publish", "{\"topic\":\"t\"}", 400, "invalid_request"),
        post("a number as message", "/publish", "{\"topic\":\"t\",\"message\":1}", 400, "invalid_request"),
        post("an object as message", "/publish", "{\"topic\":\"t\",\"message\":{\"a\":1}}", 400, "invalid_request"),
        post("a text as partition", "/publish", "{\"topic\":\"t\",\"message\":\"m\",\"partition\":\"0\"}", 400, "invalid_request"),
        post("a huge integer", "/publish", "{\"topic\":\"t\",\"message\":\"m\",\"partition\":123456789012345678901234567890}", 400, "invalid_request"),
        post("a number past all bounds", "/publish", "{\"topic\":\"t\",\"message\":\"m\",\"timestamp\":1e999}", 400, "invalid_json"),
        post("a negative time", "/publish", "{\"topic\":\"t\",\"message\":\"m\",\"timestamp\":-1}", 400, "invalid_request"),
        post("deep", "/publish", &deep, 400, "json_too_deep"),
        post("deep and without end", "/publish", &bare_deep, 400, "json_too_deep"),
        post("a control character", "/publish", "{\"topic\":\"t\",\"message\":\"\u{1}\"}", 400, "invalid_json"),
        post("half a surrogate", "/publish", "{\"topic\":\"t\",\"message\":\"\\ud800\"}", 400, "invalid_json"),
        post("no base64", "/publish", "{\"topic\":\"t\",\"message\":\"?\",\"message_encoding\":\"base64\"}", 400, "invalid_request"),
        post("an unknown encoding", "/publish", "{\"topic\":\"t\",\"message\":\"\",\"message_encoding\":\"rot13\"}", 400, "invalid_request"),
        post("a climbing topic", "/publish", "{\"topic\":\"..\",\"message\":\"m\"}", 400, "invalid_topic_name"),
        post("a topic with NUL", "/publish", "{\"topic\":\"a\\u0000b\",\"message\":\"m\"}", 400, "invalid_topic_name"),
        post("a reserved topic", "/publish", "{\"topic\":\"__groups\",\"message\":\"m\"}", 400, "reserved_name"),
        post("an unknown partition", "/publish", "{\"topic\":\"t\",\"message\":\"m\",\"partition\":9}", 404, "unknown_partition"),
        post("no topics", "/subscribe", "{\"group\":\"g\",\"consumer\":\"c\"}", 400, "invalid_request"),
        post("a group without name", "/subscribe", "{\"group\":\"\",\"consumer\":\"c\",\"topic\":\"t\"}", 400, "invalid_group_name"),
        post("a commit that is none", "/commit", "{\"group\":\"g\",\"cursor\":\"?\"}", 400, "invalid_cursor"),
        post("a setting out of bounds", "/admin/topics", "{\"name\":\"x\",\"config\":{\"segment_bytes\":1}}", 400, "invalid_setting"),
        post("an unknown setting", "/admin/topics", "{\"name\":\"x\",\"config\":{\"colour\":1}}", 400, "invalid_request"),
        case("not UTF-8", b"POST /publish HTTP/1.1\r\n{H}content-length: 28\r\n\r\n{\"topic\":\"t\",\"message\":\"\xff\xfe\"}".as_slice(), 400, "invalid_json"),
        case("a form", "POST /publish HTTP/1.1\r\n{H}content-type: multipart/form-data\r\ncontent-length: 2\r\n\r\n{}", 415, "unsupported_media_type"),
        case("a foreign page's form", "POST /publish HTTP/1.1\r\n{H}origin: http://elsewhere.example\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 2\r\n\r\n{}", 403, "cross_origin"),
        case("a type that is no text", b"POST /publish HTTP/1.1\r\n{H}content-type: \xff\r\ncontent-length: 2\r\n\r\n{}".as_slice(), 415, "unsupported_media_type"),
        case("a compressed body", "POST /publish HTTP/1.1\r\n{H}content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}", 415, "unsupported_media_type"),
        case("a compressed raw body", "POST /topics/t/records HTTP/1.1\r\n{H}content-encoding: zstd\r\ncontent-length: 2\r\n\r\n{}", 415, "unsupported_media_type"),
    ]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_too_large_too_slow_or_without_end() {
    let node = node_with(options()).await;
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let chunked = |path: &str, media: &str, chunks: usize| {
        format!(
            "POST {path} HTTP/1.1\r\n{{H}}content-type: {media}\r\ntransfer-encoding: chunked\r\n\r\n{}",
            chunk.repeat(chunks)
        )
    };
    check(&node, vec![
        case("announced too large", "POST /publish HTTP/1.1\r\n{H}content-length: 99999999999\r\n\r\n", 413, "body_too_large"),
        case("announced past all numbers", "POST /publish HTTP/1.1\r\n{H}content-length: 99999999999999999999999\r\n\r\n", 400, ""),
        case("chunked without end", chunked("/publish", "application/json", 100), 413, "body_too_large"),
        case("raw and chunked without end", chunked("/topics/t/records", "a/b", 100), 413, "body_too_large"),
        case("a line without end", chunked("/topics/t/records", "application/x-ndjson", 100), 413, "body_too_large"),
        case("a chunk that is none", "POST /publish HTTP/1.1\r\n{H}transfer-encoding: chunked\r\n\r\nzz\r\n", 400, "body_incomplete"),
        case("a body that stops", "POST /publish HTTP/1.1\r\n{H}content-length: 100\r\n\r\n{", 408, "body_timeout"),
        case("lines that stop", "POST /topics/t/records HTTP/1.1\r\n{H}content-type: application/x-ndjson\r\ncontent-length: 100\r\n\r\n{\"message\":\"a\"}\n{", 408, "body_timeout"),
    ]).await;
}

/// A body with a length and chunks too: the chunks count, and the connection ends behind it, so
/// that no second request can hide in the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_framed_in_two_ways_hides_no_other() {
    let node = node_with(options()).await;
    let chunk = "{\"topic\":\"t\",\"message\":\"m\"}";
    for lengths in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
    ] {
        let request = format!(
            "POST /publish HTTP/1.1\r\nhost: localhost\r\n{lengths}\r\n\r\n{:x}\r\n{chunk}\r\n0\r\n\r\n\
             POST /admin/topics?name=hidden HTTP/1.1\r\nhost: localhost\r\n\r\n",
            chunk.len()
        );
        let answer = node.raw(request.as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    assert_eq!(node.get("/admin/topics/hidden").await.0, 404);
}
