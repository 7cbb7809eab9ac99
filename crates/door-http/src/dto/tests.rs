use super::*;

fn line(text: &str) -> Result<PublishLine<'_>, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn a_line_takes_what_a_publish_takes() {
    let text = r#"{"topic":"t","message":"m","key":"k","headers":{"a":"1"},"partition":2,
        "timestamp":3,"message_encoding":"utf8","key_encoding":"base64"}"#;
    let whole: PublishRequest = serde_json::from_str(text).unwrap();
    let line = line(text).unwrap();
    assert_eq!(line.topic.as_deref(), Some(whole.topic.as_str()));
    assert_eq!(line.message.as_deref(), whole.message.as_deref());
    assert_eq!(line.key.as_deref(), whole.key.as_deref());
    assert_eq!(
        (&line.headers, line.partition),
        (&whole.headers, whole.partition)
    );
    assert_eq!(
        (line.timestamp, line.key_encoding),
        (whole.timestamp, whole.key_encoding)
    );
    assert_eq!(line.message_encoding, whole.message_encoding);
}

#[test]
fn text_without_escapes_is_borrowed() {
    let plain = line(r#"{"message":"plain"}"#).unwrap();
    assert!(matches!(
        plain.message,
        Some(std::borrow::Cow::Borrowed("plain"))
    ));
    let escaped = line(r#"{"message":"a\nb"}"#).unwrap();
    assert_eq!(escaped.message.as_deref(), Some("a\nb"));
}

#[test]
fn a_message_is_text_or_null_and_never_left_out() {
    assert_eq!(line(r#"{"message":null,"key":"k"}"#).unwrap().message, None);
    let cases = [
        (r#"{"key":"k"}"#, "missing field `message`"),
        (r#"{"message":{}}"#, "write other JSON as a string"),
        (r#"{"message":[1]}"#, "write other JSON as a string"),
        (r#"{"message":5}"#, "write other JSON as a string"),
        (r#"{"message":"a","message":"b"}"#, "duplicate field"),
        (r#"{"message":"a","extra":1}"#, "unknown field `extra`"),
        (r#"{"message":"a","partition":-1}"#, "invalid value"),
        (
            r#"{"message":"a","partition":99999999999}"#,
            "invalid value",
        ),
        (
            r#"{"message":"a","headers":{"x":"1","x":"2"}}"#,
            "named twice",
        ),
        (
            r#"{"message":"a","headers":{"x":[],"x":"2"}}"#,
            "named twice",
        ),
        (
            r#"{"message":"a","headers":{"x":5}}"#,
            "a header's value is a string",
        ),
    ];
    for (text, expected) in cases {
        let error = line(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn headers_keep_order_and_repeats() {
    let text = r#"{"z":"1","a":["x",null,{"base64":"/w=="}],"e":""}"#;
    let headers: Headers = serde_json::from_str(text).unwrap();
    let names: Vec<&str> = headers.0.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["z", "a", "a", "a", "e"]);
    assert_eq!(serde_json::to_string(&headers).unwrap(), text);
}

#[test]
fn as_many_headers_as_a_record_may_have_keep_their_order() {
    let names = (0..model::limits::RECORD_HEADERS_MAX).rev();
    let entries: Vec<String> = names.map(|n| format!("\"{n}\":\"{n}\"")).collect();
    let text = format!("{{{}}}", entries.join(","));
    let headers: Headers = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&headers).unwrap(), text);

    // Values of one name need not stand side by side in a record; in JSON they do.
    let apart = ["a", "b", "a"].map(|name| (name.to_owned(), HeaderValue::Null));
    let text = serde_json::to_string(&Headers(apart.into())).unwrap();
    assert_eq!(text, r#"{"a":[null,null],"b":null}"#);
}

#[test]
fn headers_are_bounded() {
    let many = vec!["\"v\""; model::limits::RECORD_HEADERS_MAX + 1].join(",");
    let error = serde_json::from_str::<Headers>(&format!("{{\"a\":[{many}]}}")).unwrap_err();
    assert!(error.to_string().contains("at most"), "{error}");
}

#[test]
fn a_change_tells_absent_from_null() {
    let change: ConfigRequest =
        serde_json::from_str(r#"{"retention_ms":null,"segment_bytes":7}"#).unwrap();
    assert_eq!(change.retention_ms, Some(None));
    assert_eq!(change.segment_bytes, Some(Some(7)));
    assert_eq!(change.retention_bytes, None);
    assert_eq!(
        serde_json::to_string(&change).unwrap(),
        r#"{"retention_ms":null,"segment_bytes":7}"#
    );
}

#[test]
fn a_socket_frame_reads_back() {
    let frames = [
        r#"{"receipt":{"topic":"t","partition":0,"offset":1,"timestamp":2,"mode":"leader","epoch":0,"copies":1}}"#,
        r#"{"gap":{"partition":0,"from":1,"to":2,"reason":"deleted"},"cursor":"c"}"#,
        r#"{"error":{"code":"c","message":"m"}}"#,
    ];
    for text in frames {
        let frame: SocketFrame<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&frame).unwrap(), text);
    }
}
