//! Users and rules that are added and removed.

use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;

use model::limits::{
    ACLS_MAX, CREDENTIAL_BYTES_MAX, GROUP_NAME_BYTES_MAX, TOPIC_NAME_BYTES_MAX,
    USER_NAME_BYTES_MAX, USERS_MAX,
};

use super::{check_count, check_name};
use crate::{AclEntry, Catalog, EVERYBODY, Outcome, Refusal, Resource, User};

impl Catalog {
    pub(super) fn put_user(&mut self, user: &User) -> Result<Outcome, Refusal> {
        check_name("the name of a user", &user.name, USER_NAME_BYTES_MAX)?;
        if user.name == EVERYBODY {
            let message = "no user can be named '*', which stands for everybody";
            return Err(Refusal::Invalid(message.to_string()));
        }
        if user.credential.len() > CREDENTIAL_BYTES_MAX {
            let message = format!("a credential has at most {CREDENTIAL_BYTES_MAX} bytes");
            return Err(Refusal::Invalid(message));
        }
        match self.user(&user.name) {
            Some(present) if **present == *user => return Ok(Outcome::Done),
            Some(_) => {}
            None => check_count("users", self.users.len(), USERS_MAX)?,
        }
        let user = Arc::new(user.clone());
        Arc::make_mut(&mut self.users).insert(user.name.clone(), user);
        self.changed();
        Ok(Outcome::Done)
    }

    pub(super) fn delete_user(&mut self, name: &str) -> Result<Outcome, Refusal> {
        if self.users.contains_key(name) {
            Arc::make_mut(&mut self.users).remove(name);
            self.changed();
        }
        Ok(Outcome::Done)
    }

    pub(super) fn put_acl(&mut self, entry: &AclEntry) -> Result<Outcome, Refusal> {
        check_name(
            "the principal of a rule",
            &entry.principal,
            USER_NAME_BYTES_MAX,
        )?;
        // One more than a name, for the '*' at its end.
        match &entry.resource {
            Resource::Cluster => Ok(()),
            Resource::Topic(name) => {
                check_name("the topic of a rule", name, TOPIC_NAME_BYTES_MAX + 1)
            }
            Resource::Group(name) => {
                check_name("the group of a rule", name, GROUP_NAME_BYTES_MAX + 1)
            }
        }?;
        if !self.acls.contains(entry) {
            check_count("rules", self.acls.len(), ACLS_MAX)?;
            Arc::make_mut(&mut self.acls).insert(entry.clone());
            self.changed();
        }
        Ok(Outcome::Done)
    }

    pub(super) fn delete_acl(&mut self, entry: &AclEntry) -> Result<Outcome, Refusal> {
        if self.acls.contains(entry) {
            Arc::make_mut(&mut self.acls).remove(entry);
            self.changed();
        }
        Ok(Outcome::Done)
    }
}
