//! The versions that are measured, from the lock file.

const LOCK: &str = include_str!("../Cargo.lock");

/// Returns the version of a package that is measured, or the first that begins with `prefix`.
///
/// # Examples
///
/// ```
/// use peers::versions::locked;
///
/// assert!(locked("ash-flare", "1.").is_some_and(|version| version.starts_with("1.1.")));
/// assert_eq!(locked("no-such-package", ""), None);
/// ```
#[must_use]
pub fn locked(package: &str, prefix: &str) -> Option<&'static str> {
    let name = format!("name = \"{package}\"");
    let versions = LOCK.split("[[package]]").filter(|entry| entry.lines().any(|line| line == name));
    let versions = versions.filter_map(|entry| {
        let line = entry.lines().find_map(|line| line.strip_prefix("version = \""));
        line.and_then(|rest| rest.strip_suffix('"'))
    });
    let mut matching = versions.filter(|version| version.starts_with(prefix));
    matching.next()
}
