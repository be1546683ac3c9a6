use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// A folder of one test's own, gone when the test is.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("moq-token-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_private_file_is_its_owners_alone() {
    let folder = Folder::new("private");
    let path = folder.0.join("root.jwk");

    write(&path, "secret", Access::Owner, Overwrite::Never).unwrap();

    assert_eq!((mode(&path), is_exposed(&path).unwrap()), (0o600, false));
    assert_eq!(*read(&path, 6).unwrap(), "secret");
    assert_eq!(folder.names(), ["root.jwk"]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(is_exposed(&path).unwrap());
}

#[test]
fn nothing_is_lost_unless_asked_for() {
    let folder = Folder::new("exists");
    let path = folder.0.join("root.jwk");
    fs::write(&path, "old").unwrap();

    assert!(matches!(write(&path, "new", Access::Owner, Overwrite::Never), Err(FileError::Exists { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    write(&path, "new", Access::Owner, Overwrite::Allowed).unwrap();
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("new", 0o600));
    assert_eq!(folder.names(), ["root.jwk"]);
}

#[test]
fn an_empty_file_is_no_loss() {
    let folder = Folder::new("empty");
    let path = folder.0.join("root.jwk");
    fs::write(&path, "").unwrap();

    write(&path, "new", Access::Owner, Overwrite::Never).unwrap();

    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("new", 0o600));
}

#[test]
fn a_link_is_never_followed() {
    let folder = Folder::new("link");
    let (path, target) = (folder.0.join("root.jwk"), folder.0.join("target"));
    symlink(&target, &path).unwrap();

    assert!(matches!(write(&path, "new", Access::Owner, Overwrite::Never), Err(FileError::Exists { .. })));
    write(&path, "new", Access::Owner, Overwrite::Allowed).unwrap();

    assert!(!target.exists());
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
}

#[test]
fn what_cannot_be_written_leaves_nothing_behind() {
    let folder = Folder::new("nowhere");

    assert!(matches!(write(&folder.0, "x", Access::Owner, Overwrite::Allowed), Err(FileError::NotAFile { .. })));
    let missing = folder.0.join("no/such/root.jwk");
    assert!(matches!(write(&missing, "x", Access::Owner, Overwrite::Never), Err(FileError::Io { .. })));
    assert!(folder.names().is_empty());
}

#[test]
fn a_file_is_read_within_bounds() {
    let folder = Folder::new("bounds");
    let path = folder.0.join("root.jwk");
    fs::write(&path, "12345").unwrap();

    assert!(matches!(read(&path, 4), Err(FileError::TooLarge { max: 4, .. })));
    fs::write(&path, [0xff]).unwrap();
    assert!(matches!(read(&path, 4), Err(FileError::NotText { .. })));
    assert!(matches!(read(&folder.0.join("none"), 4), Err(FileError::Io { .. })));
}
