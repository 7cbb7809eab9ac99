//! Users, rules, and who may do what.

use catalog::{AclEntry, Catalog, Command, Effect, Operation, Refusal, Resource, User};

use crate::clusters::{cluster, idle, refused, taken};

fn topic(name: &str) -> Resource {
    Resource::Topic(name.to_owned())
}

fn group(name: &str) -> Resource {
    Resource::Group(name.to_owned())
}

fn rule(principal: &str, effect: Effect, operation: Operation, resource: Resource) -> AclEntry {
    AclEntry {
        principal: principal.to_owned(),
        operation,
        resource,
        effect,
    }
}

fn rules() -> Catalog {
    use Effect::{Allow, Deny};
    use Operation::{Admin, Read, Write};
    let rules = [
        rule("ann", Allow, Write, topic("orders")),
        rule("ann", Allow, Read, topic("*")),
        rule("ann", Deny, Read, topic("secret.*")),
        rule("bob", Allow, Read, topic("secret.plans")),
        rule("bob", Allow, Read, group("g*")),
        rule("root", Allow, Admin, Resource::Cluster),
        rule("*", Allow, Read, topic("public")),
        rule("*", Deny, Write, topic("public")),
        rule("bob", Allow, Write, topic("public")),
    ];
    let mut catalog = cluster(1);
    for rule in rules {
        taken(&mut catalog, &Command::PutAcl(rule));
    }
    catalog
}

#[test]
fn who_may_do_what() {
    use Operation::{Admin, Read, Write};
    let cases = [
        ("ann", Write, topic("orders"), true),
        ("ann", Write, topic("orders2"), false),
        ("ann", Admin, topic("orders"), false),
        ("ann", Read, topic("orders"), true),
        ("ann", Read, topic("secret"), true),
        ("ann", Read, topic("secret."), false),
        ("ann", Read, topic("secret.plans"), false),
        ("ann", Read, group("orders"), false),
        ("ann", Read, Resource::Cluster, false),
        ("bob", Read, topic("secret.plans"), true),
        ("bob", Read, topic("secret.plans2"), false),
        ("bob", Read, group("g"), true),
        ("bob", Read, group("g1"), true),
        ("bob", Read, group("h"), false),
        ("root", Admin, Resource::Cluster, true),
        ("root", Admin, topic("orders"), false),
        ("root", Read, Resource::Cluster, false),
        ("nobody", Read, topic("public"), true),
        ("nobody", Write, topic("public"), false),
        ("bob", Write, topic("public"), false),
        ("*", Read, topic("orders"), false),
        ("", Read, topic("public"), true),
        // What is asked for is a name, never a pattern.
        ("bob", Read, topic("secret.*"), false),
        ("bob", Read, topic("*"), false),
    ];
    let catalog = rules();
    for (who, operation, what, expected) in cases {
        let may = catalog.authorize(who, operation, &what);
        assert_eq!(may, expected, "{who} {operation:?} {what:?}");
    }
    assert!(!cluster(1).authorize("ann", Read, &topic("orders")));
}

#[test]
fn rules_come_and_go() {
    let mut catalog = rules();
    let first = catalog.acls().next().unwrap().clone();
    idle(&mut catalog, &Command::PutAcl(first.clone()));
    taken(&mut catalog, &Command::DeleteAcl(first.clone()));
    idle(&mut catalog, &Command::DeleteAcl(first.clone()));
    assert!(catalog.acls().all(|rule| *rule != first));
    assert_eq!(catalog.acls().count(), 8);
}

#[test]
fn users_come_and_go() {
    let mut catalog = cluster(1);
    let user = |credential: &[u8]| {
        Command::PutUser(User {
            name: "ann".to_owned(),
            credential: credential.to_vec(),
        })
    };
    taken(&mut catalog, &user(b"one"));
    idle(&mut catalog, &user(b"one"));
    taken(&mut catalog, &user(b"two"));
    assert_eq!(catalog.user("ann").unwrap().credential, b"two");
    assert_eq!(catalog.users().count(), 1);
    let delete = Command::DeleteUser {
        name: "ann".to_owned(),
    };
    taken(&mut catalog, &delete);
    idle(&mut catalog, &delete);
    assert!(catalog.user("ann").is_none());
}

#[test]
fn names_and_credentials_that_cannot_be() {
    let user = |name: &str, credential: usize| {
        Command::PutUser(User {
            name: name.to_owned(),
            credential: vec![0; credential],
        })
    };
    let rule = |principal: &str, resource| {
        Command::PutAcl(rule(principal, Effect::Allow, Operation::Read, resource))
    };
    let long = "x".repeat(251);
    let cases = [
        user("", 1),
        user("*", 1),
        user("a\nb", 1),
        user(&long, 1),
        user("ann", 1_025),
        rule("", Resource::Cluster),
        rule(&long, Resource::Cluster),
        rule("ann", topic("")),
        rule("ann", topic(&long)),
        rule("ann", group("a\u{7}")),
    ];
    let mut catalog = cluster(1);
    for command in cases {
        let refusal = refused(&mut catalog, &command);
        assert!(
            matches!(refusal, Refusal::Invalid(_)),
            "{command:?}: {refusal}"
        );
    }
}
