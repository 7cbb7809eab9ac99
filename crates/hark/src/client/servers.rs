//! Which servers there are, and whose turn it is. Pure: it hears what became of requests.
//!
//! Those that were named come first, then the others of their cluster, as a node tells. A learned
//! address may mean another machine here than it does there, so before anything is asked of a learned
//! server it has to say that it is of the same cluster.

use reqwest::Url;

/// Most servers in one list.
const SERVERS_MAX: usize = 1024;

/// The servers of one client.
#[derive(Debug)]
pub(super) struct Servers {
    list: Vec<Server>,
    /// The one that is asked first.
    current: usize,
    /// Which cluster they are of, once one has told.
    cluster: Option<String>,
    /// Something has changed since a server was last asked for the others.
    is_stale: bool,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Where it is.
    pub url: Url,
    /// Whether it must say first which cluster it is of.
    pub is_doubtful: bool,
    is_named: bool,
}

impl Servers {
    /// At least one, as a person named them.
    pub(super) fn new(named: Vec<Url>) -> Self {
        let mut servers = Self {
            list: Vec::new(),
            current: 0,
            cluster: None,
            is_stale: true,
        };
        for url in named {
            servers.add(url, true);
        }
        servers
    }

    /// All of them, the one whose turn it is first.
    pub(super) fn in_turn(&self) -> Vec<Server> {
        let (before, from) = self.list.split_at(self.current.min(self.list.len()));
        from.iter().chain(before).cloned().collect()
    }

    /// This one has answered: the next request goes to it, too.
    pub(super) fn answered(&mut self, url: &Url) {
        if let Some(at) = self.position(url) {
            self.current = at;
        }
    }

    /// This one has failed: if it was its turn, it is the next one's. Of many requests that fail
    /// together only the first moves on.
    pub(super) fn failed(&mut self, url: &Url) {
        let Some(at) = self.position(url) else {
            return;
        };
        self.is_stale = true;
        if let Some(server) = self.list.get_mut(at) {
            // Something else may stand in its place when it is there again.
            server.is_doubtful = !server.is_named;
        }
        if at == self.current {
            self.current = (at + 1) % self.list.len().max(1);
        }
    }

    /// A doubtful one has said of which cluster it is; whether it may be asked.
    pub(super) fn has_said(&mut self, url: &Url, cluster: Option<&str>) -> bool {
        let is_ours = cluster.is_some() && cluster == self.cluster.as_deref();
        if let Some(server) = self.position(url).and_then(|at| self.list.get_mut(at)) {
            server.is_doubtful = !is_ours;
        }
        is_ours
    }

    /// A server that was asked has told which there are, as `host:port`. Those learned before and not
    /// told again are gone.
    pub(super) fn learn<'a>(
        &mut self,
        cluster: Option<&str>,
        told: impl IntoIterator<Item = &'a str>,
    ) {
        self.is_stale = false;
        if self.cluster.is_some() && self.cluster.as_deref() != cluster {
            // Somebody named servers of two clusters. Each is asked, and none brings others along.
            return;
        }
        self.cluster = cluster.map(str::to_owned);
        let current = self.list.get(self.current).cloned();
        let told: Vec<Url> = told.into_iter().filter_map(url).collect();
        self.list
            .retain(|server| server.is_named || told.contains(&server.url));
        for url in told {
            self.add(url, false);
        }
        let kept = current.and_then(|server| self.position(&server.url));
        self.current = kept.unwrap_or(0);
    }

    /// Whether it is time to ask who there is.
    pub(super) const fn is_stale(&self) -> bool {
        self.is_stale
    }

    fn add(&mut self, url: Url, is_named: bool) {
        if self.list.len() < SERVERS_MAX && self.position(&url).is_none() {
            self.list.push(Server {
                url,
                is_doubtful: !is_named,
                is_named,
            });
        }
    }

    /// By where it is, whatever path was asked for there.
    fn position(&self, url: &Url) -> Option<usize> {
        let is_there = |server: &Server| server.url.origin() == url.origin();
        self.list.iter().position(is_there)
    }
}

fn url(told: &str) -> Option<Url> {
    let url = Url::parse(&format!("http://{told}")).ok()?;
    // Whatever else stands there was not meant as an address.
    (url.path() == "/" && url.query().is_none() && url.username().is_empty()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: Option<&str> = Some("c1");

    fn at(host: &str) -> Url {
        url(host).unwrap()
    }

    fn servers(named: &[&str]) -> Servers {
        Servers::new(named.iter().map(|host| at(host)).collect())
    }

    fn turns(servers: &Servers) -> String {
        let hosts = servers.in_turn();
        let hosts: Vec<String> = hosts
            .iter()
            .map(|server| {
                let doubt = if server.is_doubtful { "?" } else { "" };
                format!("{}{doubt}", server.url.host_str().unwrap())
            })
            .collect();
        hosts.join(" ")
    }

    #[test]
    fn the_turn_goes_on_when_one_fails_and_stays_when_one_answers() {
        let mut servers = servers(&["a:1", "b:1", "c:1"]);
        assert_eq!(turns(&servers), "a b c");
        servers.answered(&at("a:1"));
        assert_eq!(turns(&servers), "a b c");
        servers.failed(&at("a:1"));
        assert_eq!(turns(&servers), "b c a");
        // The other requests that were under way to it say nothing new.
        servers.failed(&at("a:1"));
        servers.failed(&at("a:1"));
        assert_eq!(turns(&servers), "b c a");
        servers.answered(&at("c:1"));
        assert_eq!(turns(&servers), "c a b");
        servers.failed(&at("c:1"));
        assert_eq!(turns(&servers), "a b c");
        servers.failed(&at("nobody:1"));
        servers.answered(&at("nobody:1"));
        assert_eq!(turns(&servers), "a b c");
    }

    #[test]
    fn a_server_is_known_by_where_it_is_and_not_by_what_was_asked() {
        let mut servers = servers(&["a:1", "b:1", "a:1"]);
        servers.failed(&at("a:1").join("/topics/t/stream?from=0").unwrap());
        assert_eq!(turns(&servers), "b a");
    }

    #[test]
    fn others_are_learned_and_forgotten_and_those_that_were_named_stay() {
        let mut servers = servers(&["a:1", "b:1"]);
        assert!(servers.is_stale());
        servers.answered(&at("b:1"));
        servers.learn(CLUSTER, ["b:1", "c:1", "d:1"]);
        assert_eq!(turns(&servers), "b c? d? a");
        assert!(!servers.is_stale());
        servers.failed(&at("b:1"));
        assert!(servers.is_stale());
        assert_eq!(turns(&servers), "c? d? a b");
        servers.learn(CLUSTER, ["c:1", "e:1"]);
        assert_eq!(turns(&servers), "c? e? a b");
        servers.learn(CLUSTER, []);
        assert_eq!(turns(&servers), "a b");
    }

    #[test]
    fn what_is_no_address_is_not_learned() {
        let mut servers = servers(&["a:1"]);
        let told = [
            "", ":1", "x y:1", "h:1/path", "u@h:1", "h:99999", "h:1?q", "b:1",
        ];
        servers.learn(CLUSTER, told);
        assert_eq!(turns(&servers), "a b?");
    }

    #[test]
    fn a_learned_server_must_be_of_the_same_cluster() {
        let mut servers = servers(&["a:1"]);
        servers.learn(CLUSTER, ["b:1", "c:1"]);
        assert!(servers.has_said(&at("b:1"), CLUSTER));
        assert!(!servers.has_said(&at("c:1"), Some("c2")));
        assert!(!servers.has_said(&at("c:1"), None));
        assert_eq!(turns(&servers), "a b c?");
        // Another may stand in its place when it comes back.
        servers.failed(&at("b:1"));
        assert_eq!(turns(&servers), "a b? c?");
    }

    #[test]
    fn servers_of_another_cluster_are_not_learned() {
        let mut servers = servers(&["a:1", "b:1"]);
        servers.learn(CLUSTER, ["c:1"]);
        servers.learn(Some("c2"), ["d:1"]);
        servers.learn(None, ["e:1"]);
        assert_eq!(turns(&servers), "a b c?");
    }

    #[test]
    fn many_requests_that_fail_in_turn_visit_every_server() {
        let mut servers = servers(&["a:1", "b:1", "c:1"]);
        let mut visited = Vec::new();
        for _ in 0..4 {
            let first = servers.in_turn().remove(0);
            visited.push(first.url.host_str().unwrap().to_owned());
            servers.failed(&first.url);
        }
        assert_eq!(visited, ["a", "b", "c", "a"]);
    }

    #[test]
    fn a_list_has_an_end() {
        let mut servers = servers(&["a:1"]);
        let told: Vec<String> = (0..5000).map(|n| format!("h{n}:1")).collect();
        servers.learn(CLUSTER, told.iter().map(String::as_str));
        assert_eq!(servers.in_turn().len(), SERVERS_MAX);
    }
}
