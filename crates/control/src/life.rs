//! How a node enters a cluster: founding, joining, registering again.

use std::collections::BTreeSet;

use catalog::{Addresses, Claim, Command, Outcome, RaftId, Registration};
use model::{ClusterId, NodeId, Site};

use crate::identity::{Identity, Member};
use crate::{Change, Control, ControlError, Key, StoreError};

/// What a node tells of itself when it registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// The id it wants. One that has joined has its id, and wants another only by mistake.
    pub id: Option<NodeId>,
    /// Where it may get an id when it wants none.
    pub site: Site,
    /// Where it is.
    pub addresses: Addresses,
    /// What breaks together.
    pub rack: Option<String>,
}

impl Control {
    /// Begins a cluster with this node as its first. The data directory must be new.
    pub async fn found(&self, introduction: &Introduction) -> Result<Outcome, ControlError> {
        let _life = self.inner.life.lock().await;
        let mut identity = self.identity();
        if identity.member.is_some() {
            return Err(ControlError::AlreadyMember);
        }
        let lowest = NodeId(*introduction.site.ids().start());
        let member = Member {
            cluster: ClusterId::from_bytes(self.inner.draw()),
            raft_id: RaftId::new(introduction.id.unwrap_or(lowest), 0),
        };
        identity.member = Some(member);
        identity.founding = true;
        self.save(identity).await?;
        self.start_engine(member).await?;
        self.finish_founding(member, introduction).await
    }

    /// Writes down that this start is about to be registered, and gives what it says of itself. What else
    /// keeps the chain of starts may note it from here on: the next start knows of it.
    pub async fn begin(&self) -> Result<Claim, ControlError> {
        let _life = self.inner.life.lock().await;
        self.begin_boot().await?;
        Ok(self.claim())
    }

    /// What this start must be registered with, for a node that asks another one to do it. It is written
    /// down that the cluster was asked.
    pub async fn registration(
        &self,
        introduction: &Introduction,
    ) -> Result<Registration, ControlError> {
        let _life = self.inner.life.lock().await;
        self.prepare_registration(introduction).await
    }

    /// The cluster has registered this start: `outcome` is what it answered. A new node becomes a member
    /// and takes part from here on.
    pub async fn joined(&self, outcome: &Outcome) -> Result<(), ControlError> {
        let _life = self.inner.life.lock().await;
        self.confirm(outcome).await
    }

    /// Registers this start of a member with its cluster. Goes on with a founding that was broken off.
    pub async fn register(&self, introduction: &Introduction) -> Result<Outcome, ControlError> {
        let _life = self.inner.life.lock().await;
        let identity = self.identity();
        let member = identity.member.ok_or(ControlError::NotMember)?;
        if identity.founding {
            return self.finish_founding(member, introduction).await;
        }
        self.register_here(introduction).await
    }

    /// Every step may have been taken before a crash.
    async fn finish_founding(
        &self,
        member: Member,
        introduction: &Introduction,
    ) -> Result<Outcome, ControlError> {
        let running = self.inner.engine.get().ok_or(ControlError::NotMember)?;
        let initialized = running.raft.is_initialized().await;
        if !initialized.map_err(|error| ControlError::Engine(error.to_string()))? {
            let alone = BTreeSet::from([running.me.0]);
            let begun = running.raft.initialize(alone).await;
            begun.map_err(|error| ControlError::Engine(error.to_string()))?;
        }
        self.fresh().await?;
        if self.view().cluster().is_none() {
            let cluster = member.cluster;
            self.propose(Command::Found { cluster }).await?;
        }
        let introduction = Introduction {
            id: Some(member.raft_id.node()),
            ..introduction.clone()
        };
        let outcome = self.register_here(&introduction).await?;
        let mut identity = self.identity();
        identity.founding = false;
        self.save(identity).await?;
        Ok(outcome)
    }

    async fn register_here(&self, introduction: &Introduction) -> Result<Outcome, ControlError> {
        let registration = self.prepare_registration(introduction).await?;
        let outcome = self.propose(Command::Register(registration)).await?;
        self.confirm(&outcome).await?;
        Ok(outcome)
    }

    async fn prepare_registration(
        &self,
        introduction: &Introduction,
    ) -> Result<Registration, ControlError> {
        let (boot, identity) = (self.inner.boot, self.begin_boot().await?);
        Ok(Registration {
            id: introduction.id.or_else(|| identity.node()),
            site: introduction.site,
            storage: identity.storage,
            boot,
            known_boots: identity.known_boots(boot),
            addresses: introduction.addresses.clone(),
            rack: introduction.rack.clone(),
            holder_is_alive: false,
            at: self.inner.seams.clock.wall(),
        })
    }

    async fn begin_boot(&self) -> Result<Identity, StoreError> {
        let mut identity = self.identity();
        identity.try_boot(self.inner.boot);
        self.save(identity.clone()).await?;
        Ok(identity)
    }

    /// Done before anybody is told that the node has started, so nothing is acknowledged by a start that
    /// the directory does not know to be its last.
    async fn confirm(&self, outcome: &Outcome) -> Result<(), ControlError> {
        let Outcome::Registered {
            cluster,
            raft_id,
            incarnation,
            ..
        } = *outcome
        else {
            let why = "the cluster answered something else than a registration";
            return Err(ControlError::Unavailable(why.to_owned()));
        };
        let mut identity = self.identity();
        let member = Member { cluster, raft_id };
        if identity.member.is_some_and(|known| known != member) {
            return Err(ControlError::Abandoned(raft_id.node()));
        }
        identity.member = Some(member);
        identity.confirm(self.inner.boot, incarnation);
        self.save(identity).await?;
        self.start_engine(member).await?;
        Ok(())
    }

    async fn save(&self, identity: Identity) -> Result<(), StoreError> {
        let change = Change::Put(Key::Identity, identity.encode());
        self.inner.writer.write(vec![change]).await?;
        *self.inner.identity.lock() = identity;
        Ok(())
    }
}
