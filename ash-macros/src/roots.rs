//! Which crate the names of an expansion come from: the facade or single crates, under the names
//! that the user's manifest gives them.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::ast::Flavor;
use crate::toml::{Entry, Value, entries};

const FACADE: &str = "ash-flare";
const CORE: &str = "ash-core";
const STATEFUL: &str = "ash-stateful";

/// The crates that the expansion refers to.
pub(crate) struct Roots {
    /// The crate of `SupervisorSpec` and the policies.
    pub(crate) core: syn::Path,
    /// The crate of `StatefulSupervisorSpec`.
    pub(crate) stateful: syn::Path,
}

/// Returns the crates that are available to the crate being compiled.
///
/// Without a manifest, as in build systems other than cargo, it is the facade under its own name.
pub(crate) fn find(flavor: Flavor) -> Result<Roots, String> {
    let manifest = env::var_os("CARGO_MANIFEST_PATH").map(PathBuf::from).or_else(|| {
        env::var_os("CARGO_MANIFEST_DIR").map(|directory| Path::new(&directory).join("Cargo.toml"))
    });
    match manifest.and_then(|path| Some((fs::read_to_string(&path).ok()?, path))) {
        Some((text, path)) => {
            let manifest = entries(&text);
            roots(flavor, &Dependency::all(&manifest, || workspace(&manifest, &path)))
        }
        None => facade("ash_flare"),
    }
}

/// Where a dependency is available. A later one is tried where the earlier ones have no crate of
/// ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// Everywhere in the package.
    Always,
    /// Only with a feature or on a target; a macro cannot see which are active.
    Sometimes,
    /// In tests, examples and benchmarks.
    Dev,
    /// In the build script.
    Build,
}

#[derive(Debug, PartialEq, Eq)]
struct Dependency {
    /// The name under which the crate is used.
    key: String,
    package: String,
    reach: Reach,
}

impl Dependency {
    /// Returns the dependencies of a manifest, and the package itself, which its tests and examples
    /// refer to like any other.
    fn all(manifest: &[Entry], workspace: impl FnOnce() -> Vec<Entry>) -> Vec<Self> {
        let mut workspace = Lazy::Unread(workspace);
        let mut all = Vec::new();
        if let Some(name) = text(manifest, &["package", "name"]) {
            all.push(Self { key: name.into(), package: name.into(), reach: Reach::Always });
        }
        for (path, _) in manifest {
            let Some((reach, table, key)) = dependency(path) else {
                continue;
            };
            if all.iter().any(|known| known.key == *key && known.reach == reach) {
                continue;
            }
            let at = |field| [table, &[key.clone(), String::from(field)]].concat();
            let inherited = has(manifest, &at("workspace"));
            let package = if inherited {
                let path = ["workspace", "dependencies", key, "package"];
                text(workspace.read(), &path).map(str::to_owned)
            } else {
                text(manifest, &at("package")).map(str::to_owned)
            };
            let reach = match reach {
                Reach::Always if has(manifest, &at("optional")) => Reach::Sometimes,
                Reach::Always | Reach::Sometimes | Reach::Dev | Reach::Build => reach,
            };
            let package = package.unwrap_or_else(|| key.clone());
            all.push(Self { key: key.clone(), package, reach });
        }
        all
    }
}

/// The workspace's manifest, which is read only when something is inherited from it.
enum Lazy<F> {
    Unread(F),
    Read(Vec<Entry>),
    Reading,
}

impl<F: FnOnce() -> Vec<Entry>> Lazy<F> {
    fn read(&mut self) -> &[Entry] {
        *self = match std::mem::replace(self, Self::Reading) {
            Self::Unread(read) => Self::Read(read()),
            state @ (Self::Read(_) | Self::Reading) => state,
        };
        match self {
            Self::Read(entries) => entries,
            Self::Unread(_) | Self::Reading => &[],
        }
    }
}

/// Returns the reach, the table and the key if a path is that of a dependency or inside one.
fn dependency(path: &[String]) -> Option<(Reach, &[String], &String)> {
    let (depth, on_target) = if path.first()? == "target" { (2, true) } else { (0, false) };
    let reach = match path.get(depth)?.as_str() {
        "dependencies" if on_target => Reach::Sometimes,
        "dependencies" => Reach::Always,
        "dev-dependencies" | "dev_dependencies" => Reach::Dev,
        "build-dependencies" | "build_dependencies" => Reach::Build,
        _ => return None,
    };
    Some((reach, &path[..=depth], path.get(depth + 1)?))
}

/// Returns the entries of the workspace's manifest that the package at `path` belongs to.
fn workspace(manifest: &[Entry], path: &Path) -> Vec<Entry> {
    let is_root = |entries: &[Entry]| entries.iter().any(|(path, _)| path[0] == "workspace");
    if is_root(manifest) {
        return manifest.to_vec();
    }
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let read = |directory: &Path| {
        fs::read_to_string(directory.join("Cargo.toml")).map(|text| entries(&text)).ok()
    };
    match text(manifest, &["package", "workspace"]) {
        Some(root) => read(&directory.join(root)),
        None => directory.ancestors().skip(1).filter_map(read).find(|entries| is_root(entries)),
    }
    .unwrap_or_default()
}

fn find_value<'a>(entries: &'a [Entry], path: &[impl AsRef<str>]) -> Option<&'a Value> {
    let path = || path.iter().map(AsRef::as_ref);
    entries.iter().find(|entry| entry.0.iter().map(String::as_str).eq(path())).map(|entry| &entry.1)
}

fn text<'a>(entries: &'a [Entry], path: &[impl AsRef<str>]) -> Option<&'a str> {
    match find_value(entries, path)? {
        Value::Text(text) => Some(text),
        Value::True | Value::Other => None,
    }
}

fn has(entries: &[Entry], path: &[impl AsRef<str>]) -> bool {
    find_value(entries, path) == Some(&Value::True)
}

/// Chooses among the dependencies: the most widely available first, and the facade before single
/// crates.
fn roots(flavor: Flavor, dependencies: &[Dependency]) -> Result<Roots, String> {
    let named = |package: &str, reach: Reach| {
        let mut found = dependencies.iter().filter(|d| d.package == package && d.reach <= reach);
        found.next().map(|dependency| dependency.key.replace('-', "_"))
    };
    for reach in [Reach::Always, Reach::Sometimes, Reach::Dev, Reach::Build] {
        if let Some(name) = named(FACADE, reach) {
            return facade(&name);
        }
        let core = named(CORE, reach);
        match (flavor, core, named(STATEFUL, reach)) {
            (Flavor::Plain, Some(core), _) => return facade(&core),
            (Flavor::Stateful, Some(core), Some(stateful)) => {
                return Ok(Roots { core: absolute(&core)?, stateful: absolute(&stateful)? });
            }
            (_, None, _) | (Flavor::Stateful, Some(_), None) => {}
        }
    }
    let (name, crates) = match flavor {
        Flavor::Plain => ("supervision_tree!", "`ash-flare` or `ash-core`"),
        Flavor::Stateful => {
            ("stateful_supervision_tree!", "`ash-flare`, or both `ash-core` and `ash-stateful`,")
        }
    };
    Err(format!(
        "`{name}` needs {crates} among the dependencies in Cargo.toml; where another crate \
         re-exports ash-flare, name it with `crate: path::to::ash_flare`"
    ))
}

/// Returns the roots when one crate provides everything.
fn facade(name: &str) -> Result<Roots, String> {
    let path = absolute(name)?;
    Ok(Roots { core: path.clone(), stateful: path })
}

fn absolute(name: &str) -> Result<syn::Path, String> {
    syn::parse_str(&format!("::{name}")).map_err(|_| format!("`{name}` is not a crate's name"))
}

#[cfg(test)]
mod tests {
    use quote::ToTokens as _;

    use super::*;

    fn found(flavor: Flavor, manifest: &str, workspace: &str) -> Result<(String, String), String> {
        let dependencies = Dependency::all(&entries(manifest), || entries(workspace));
        let text = |path: &syn::Path| path.to_token_stream().to_string().replace(' ', "");
        roots(flavor, &dependencies).map(|roots| (text(&roots.core), text(&roots.stateful)))
    }

    fn plain(manifest: &str) -> String {
        found(Flavor::Plain, manifest, "").map_or_else(|error| error, |roots| roots.0)
    }

    #[test]
    fn the_facade_comes_before_single_crates() {
        assert_eq!(plain("[dependencies]\nash-core = '1'\nash-flare = '1'"), "::ash_flare");
        assert_eq!(plain("[dependencies]\nash-core = '1'\nash-macros = '1'"), "::ash_core");
    }

    #[test]
    fn renamed_crates_are_named_as_the_manifest_names_them() {
        let manifest = "[dependencies]\nmy-tree = { package = 'ash-flare', version = '1' }";
        assert_eq!(plain(manifest), "::my_tree");
        let manifest = "[dependencies]\nkern.package = 'ash-core'\nkern.version = '1'\n\
                        [dependencies.shared]\npackage = \"ash-stateful\"";
        let roots = found(Flavor::Stateful, manifest, "").unwrap();
        assert_eq!(roots, ("::kern".into(), "::shared".into()));
    }

    #[test]
    fn another_package_under_our_name_is_not_ours() {
        let manifest = "[dependencies]\nash-flare = { package = 'other' }\nash-core = '1'";
        assert_eq!(plain(manifest), "::ash_core");
    }

    #[test]
    fn inherited_renames_come_from_the_workspace() {
        let workspace = "[workspace.dependencies]\ntree = { package = 'ash-flare', path = '..' }";
        for manifest in [
            "[dependencies]\ntree.workspace = true",
            "[dependencies]\ntree = { workspace = true, features = ['x'] }",
        ] {
            let roots = found(Flavor::Plain, manifest, workspace).unwrap();
            assert_eq!(roots.0, "::tree");
        }
    }

    #[test]
    fn what_is_always_there_comes_first() {
        let manifest = "[dev-dependencies]\nash-flare = '1'\n[dependencies]\nash-core = '1'";
        assert_eq!(plain(manifest), "::ash_core");
        let manifest = "[dependencies]\nash-flare = { version = '1', optional = true }\n\
                        ash-core = '1'";
        assert_eq!(plain(manifest), "::ash_core");
        let manifest = "[target.'cfg(unix)'.dependencies]\nash-flare = '1'";
        assert_eq!(plain(manifest), "::ash_flare");
        assert_eq!(plain("[build-dependencies]\nash-flare = '1'"), "::ash_flare");
    }

    #[test]
    fn a_package_finds_itself() {
        assert_eq!(plain("[package]\nname = 'ash-flare'"), "::ash_flare");
        let manifest = "[package]\nname = 'ash-stateful'\n[dependencies]\nash-core = '1'";
        let roots = found(Flavor::Stateful, manifest, "").unwrap();
        assert_eq!(roots, ("::ash_core".into(), "::ash_stateful".into()));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = plain("[dependencies]\nserde = '1'");
        assert!(error.contains("`ash-flare` or `ash-core`"), "{error}");
        let manifest = "[dependencies]\nash-core = '1'";
        let error = found(Flavor::Stateful, manifest, "").unwrap_err();
        assert!(error.contains("both `ash-core` and `ash-stateful`"), "{error}");
    }
}
