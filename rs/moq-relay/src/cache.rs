//! How large the cache gets on this machine.

use std::{fs, path::Path};

use moq_lite::model::cache::Policy;

use crate::{config::CacheConfig, options::Capacity};

/// Share of the memory that the cache takes unless told otherwise, in percent.
const SHARE_DEFAULT: u8 = 25;
/// What the default share comes to at most, in bytes: half a minute of 250 Mbit/s, and no surprise on a large machine.
const BYTES_DEFAULT_MAX: u64 = 1 << 30;

/// The policy that `config` comes to here.
pub(crate) fn policy(config: &CacheConfig) -> Policy {
    let capacity = match config.capacity {
        Some(Capacity::Bytes(bytes)) => bytes,
        Some(Capacity::Percent(share)) => memory().map_or(BYTES_DEFAULT_MAX, |memory| part(memory, share)),
        None => memory().map_or(BYTES_DEFAULT_MAX, |memory| part(memory, SHARE_DEFAULT).min(BYTES_DEFAULT_MAX)),
    };
    let per_broadcast = match config.per_broadcast {
        Capacity::Bytes(bytes) => bytes,
        Capacity::Percent(share) => part(capacity, share),
    };
    Policy { capacity, per_broadcast, min_age: config.min_age, max_age: config.max_age, linger: config.linger }
}

fn part(whole: u64, percent: u8) -> u64 {
    whole / 100 * u64::from(percent)
}

/// Bytes of memory this process may use: the machine's, or its control group's where that is less. `None`: unknown here.
fn memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text));
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_limit(&text));
    [machine, group].into_iter().flatten().min()
}

/// `MemTotal` of /proc/meminfo, in bytes.
fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The lowest `memory.max` from this process's control group (version 2) up to the root, in bytes.
fn group_limit(membership: &str) -> Option<u64> {
    let name = membership.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folder = Path::new("/sys/fs/cgroup").join(name);
    let limits = folder.ancestors().take_while(|folder| folder.starts_with("/sys/fs/cgroup"));
    limits.filter_map(|folder| fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn shares_are_of_the_memory_and_of_the_capacity() {
        let config = CacheConfig {
            capacity: Some(Capacity::Bytes(1000)),
            per_broadcast: Capacity::Percent(25),
            min_age: Duration::ZERO,
            max_age: Duration::from_secs(30),
            linger: Duration::from_secs(30),
        };

        assert_eq!((policy(&config).capacity, policy(&config).per_broadcast), (1000, 250));
        let config = CacheConfig { capacity: None, ..config };
        assert!(policy(&config).capacity <= BYTES_DEFAULT_MAX);
    }

    #[test]
    fn the_machine_says_how_much_memory_it_has() {
        assert_eq!(total_memory("MemTotal:       16384 kB\nMemFree:  1 kB\n"), Some(16 << 20));
        assert_eq!(total_memory("Nothing: 1 kB\n"), None);
    }
}
