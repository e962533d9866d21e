//! How many files may be open: each probe and each client is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Wanted: clients, probes and some for the rest.
const WANTED: u64 = 65_536;
/// Below this the daemon warns.
const ENOUGH: u64 = 16_384;

/// Raises the limit as far as the host allows; tells when that is little.
pub(crate) fn raise() -> Option<String> {
    let have = getrlimit(Resource::Nofile);
    let most = have.maximum.unwrap_or(WANTED).max(have.current.unwrap_or(WANTED));
    let wanted = WANTED.max(most.min(1 << 20));
    // With the capability for it the hard limit goes up as well; else up to the hard limit.
    let tries = [wanted, most];
    let raised = tries.into_iter().any(|limit| {
        let maximum = Some(most.max(limit));
        setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum }).is_ok()
    });
    let now = getrlimit(Resource::Nofile).current.unwrap_or(WANTED);
    (!raised || now < ENOUGH).then(|| {
        format!("only {now} files may be open at a time (RLIMIT_NOFILE): that bounds checks and clients together")
    })
}

/// How many clients and how many probes at a time fit into the limit.
pub(crate) fn share() -> (usize, usize) {
    let now = getrlimit(Resource::Nofile).current.unwrap_or(WANTED);
    let now = usize::try_from(now).unwrap_or(usize::MAX);
    let rest = now.saturating_sub(256).max(16);
    // A third for probes, up to what they ever need.
    let probes = (rest / 3).clamp(8, 4096);
    ((rest - probes).clamp(8, 12_000), probes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_probes_fit_into_the_limit_together() {
        raise();
        let (clients, probes) = share();
        let now = getrlimit(Resource::Nofile).current.unwrap_or(WANTED);
        assert!(u64::try_from(clients + probes).unwrap() < now);
        assert!(clients >= 8 && probes >= 8);
    }
}
