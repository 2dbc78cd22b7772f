//! Pod addresses: every pod has its own, for good, and no two labs share one.
//!
//! A lab claims a block by holding a listener on an address of it that no pod gets; the kernel
//! frees the claim however the lab ends.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    error::ClusterError,
    probe::Port,
    seed::Seed,
    spec::{Addressing, ClusterSpec},
};

/// Where a pod listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PodAddress {
    /// The application.
    pub app: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
}

impl PodAddress {
    /// The address of one of its listeners.
    pub fn of(self, port: Port) -> SocketAddr {
        match port {
            Port::App => self.app,
            Port::Admin => self.admin,
        }
    }
}

/// How many blocks are tried before giving up.
const ATTEMPTS: u64 = 64;
/// The last pod's number in a /24; the claim sits above it.
const LAST_HOST: u8 = 250;
const CLAIM_HOST: u8 = 254;
/// Free ports are looked for below the ephemeral range, in blocks.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const PORT_BLOCK: u16 = 100;

/// Gives out pod addresses.
#[derive(Debug)]
pub(super) struct Addresses {
    scheme: Scheme,
    block: Mutex<Option<Block>>,
}

#[derive(Debug, Clone, Copy)]
enum Scheme {
    Ip { port: u16, admin_port: u16 },
    Port,
}

#[derive(Debug)]
struct Block {
    base: Base,
    next: u16,
    _claims: Vec<TcpListener>,
    /// Blocks that are used up stay claimed.
    _before: Option<Box<Block>>,
}

#[derive(Debug, Clone, Copy)]
enum Base {
    Net { x: u8, y: u8, port: u16, admin_port: u16 },
    Port(u16),
}

impl Addresses {
    pub(super) fn new(spec: &ClusterSpec) -> Result<Self, ClusterError> {
        let scheme = match spec.addressing {
            Addressing::PerPodIp { port, admin_port } => Scheme::Ip { port, admin_port },
            Addressing::Auto { port, admin_port }
                if cfg!(target_os = "linux") && spec.command.names_host() =>
            {
                Scheme::Ip { port, admin_port }
            }
            Addressing::Auto { .. } | Addressing::PerPodPort => Scheme::Port,
        };
        if let Scheme::Ip { port, admin_port } = scheme
            && (port == admin_port || port == 0 || admin_port == 0)
        {
            return Err(ClusterError::Spec(format!(
                "a pod's port {port} and admin port {admin_port} must differ, and not be 0"
            )));
        }
        let block = Block::claim(scheme, None)?;
        Ok(Self { scheme, block: Mutex::new(Some(block)) })
    }

    /// An address that no pod has had.
    pub(super) fn next(&self) -> Result<PodAddress, ClusterError> {
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(address) = block.as_mut().and_then(Block::next) {
                return Ok(address);
            }
            let used_up = block.take();
            *block = Some(Block::claim(self.scheme, used_up)?);
        }
    }
}

impl Block {
    fn claim(scheme: Scheme, before: Option<Self>) -> Result<Self, ClusterError> {
        // Where the search starts decides no outcome: the seed has no part in it.
        static CLAIMS: AtomicU64 = AtomicU64::new(0);
        let start = Seed::new(u64::from(std::process::id()));
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let n = CLAIMS.fetch_add(1, Ordering::Relaxed);
            let (base, addresses) = match scheme {
                Scheme::Ip { port, admin_port } => {
                    let net = start.nth_below(n, 239 * 256) + 256;
                    let (x, y) = ((net / 256) as u8, (net % 256) as u8);
                    let ip = Ipv4Addr::new(127, x, y, CLAIM_HOST);
                    (Base::Net { x, y, port, admin_port }, vec![(ip, port), (ip, admin_port)])
                }
                Scheme::Port => {
                    let blocks = usize::from((PORTS.end - PORTS.start) / PORT_BLOCK);
                    let base = PORTS.start + start.nth_below(n, blocks) as u16 * PORT_BLOCK;
                    (Base::Port(base), vec![(Ipv4Addr::LOCALHOST, base)])
                }
            };
            let bound: Result<Vec<_>, _> = addresses
                .into_iter()
                .map(|address| TcpListener::bind(address).map_err(|error| (address, error)))
                .collect();
            match bound {
                Ok(claims) => {
                    let before = before.map(Box::new);
                    return Ok(Self { base, next: 1, _claims: claims, _before: before });
                }
                Err((address, error)) => {
                    let in_use = error.kind() == io::ErrorKind::AddrInUse;
                    last = Some((SocketAddr::from(address), error));
                    if !in_use {
                        break;
                    }
                }
            }
        }
        let (address, source) = last.unwrap_or_else(|| {
            (SocketAddr::from(([127, 0, 0, 1], 0)), io::Error::other("no address left"))
        });
        Err(ClusterError::Address {
            address,
            remedy: "pods need that port on loopback addresses: end what listens on it on all \
                     addresses (0.0.0.0), or give the pods another port",
            source: Arc::new(source),
        })
    }

    fn next(&mut self) -> Option<PodAddress> {
        match self.base {
            Base::Net { x, y, port, admin_port } => {
                let host = u8::try_from(self.next).ok().filter(|host| *host <= LAST_HOST)?;
                self.next += 1;
                let ip = IpAddr::V4(Ipv4Addr::new(127, x, y, host));
                let [app, admin] = [port, admin_port].map(|port| SocketAddr::new(ip, port));
                Some(PodAddress { app, admin })
            }
            Base::Port(_) => Some(PodAddress { app: self.free_port()?, admin: self.free_port()? }),
        }
    }

    fn free_port(&mut self) -> Option<SocketAddr> {
        let Base::Port(base) = self.base else { return None };
        while self.next < PORT_BLOCK {
            let port = base + self.next;
            self.next += 1;
            // On all addresses, as the program may listen there.
            if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
                return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{super::spec::CommandTemplate, *};

    fn spec(addressing: Addressing, args: &[&str]) -> ClusterSpec {
        let command = CommandTemplate::new("server", args.iter().copied());
        ClusterSpec { addressing, ..ClusterSpec::new(command) }
    }

    /// A port that is free everywhere at this moment.
    fn free_port() -> u16 {
        TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn pods_have_addresses_of_their_own_and_labs_do_not_meet() {
        let (port, admin_port) = (free_port(), free_port());
        let spec = spec(Addressing::Auto { port, admin_port }, &["{host}"]);
        let labs = [Addresses::new(&spec).unwrap(), Addresses::new(&spec).unwrap()];
        let mut seen = HashSet::new();
        for n in 0..600 {
            let address = labs[n % 2].next().unwrap();
            assert!(address.app.ip().is_loopback() && address.app.ip() == address.admin.ip());
            assert_eq!((address.app.port(), address.admin.port()), (port, admin_port));
            assert!(seen.insert(address), "{address:?} twice");
        }
        TcpListener::bind(labs[0].next().unwrap().app).expect("a pod can listen there");
    }

    #[test]
    fn a_program_that_is_only_told_its_port_gets_a_free_one() {
        let auto = Addressing::Auto { port: 5000, admin_port: 9000 };
        let addresses = Addresses::new(&spec(auto, &["--port", "{port}"])).unwrap();
        let mut seen = HashSet::new();
        for _ in 0..120 {
            let address = addresses.next().unwrap();
            assert_eq!(address.app.ip(), Ipv4Addr::LOCALHOST);
            assert!(PORTS.contains(&address.app.port()));
            assert!(seen.insert(address.app) && seen.insert(address.admin));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_port_taken_on_all_addresses_is_a_clear_error() {
        let holder = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = holder.local_addr().unwrap().port();
        let taken = spec(Addressing::PerPodIp { port, admin_port: free_port() }, &[]);
        let error = Addresses::new(&taken).unwrap_err().to_string();
        assert!(error.starts_with("cannot listen on 127."), "{error}");
        assert!(error.contains(&format!(":{port}: ")) && error.contains("another port"), "{error}");
    }

    #[test]
    fn one_port_for_both_is_refused() {
        let same = spec(Addressing::PerPodIp { port: 80, admin_port: 80 }, &[]);
        assert!(Addresses::new(&same).unwrap_err().to_string().contains("must differ"));
    }
}
