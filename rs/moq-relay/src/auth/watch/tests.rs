use std::fs;

use super::*;
use crate::{
    auth::testing::{Folder, key},
    config::KeyConfig,
};

fn watch(folder: &Folder) -> Watch {
    let file = folder.write("k.jwk", &key("k").to_json());
    let revoked = folder.write("revoked", "");
    Watch::new(Files::load(KeyConfig { files: vec![file], folders: vec![], revoked: Some(revoked) }).unwrap())
}

fn is_read(watch: &mut Watch) -> bool {
    watch.look(false).is_some()
}

#[test]
fn what_does_not_change_is_not_read_again() {
    let folder = Folder::new();
    let mut watch = watch(&folder);

    assert!((0..10).all(|_| !is_read(&mut watch)));
    assert!(watch.look(true).is_some(), "unless somebody asks");
}

#[test]
fn a_change_is_read_once_its_writer_is_done() {
    let folder = Folder::new();
    let mut watch = watch(&folder);

    folder.write("revoked", "jti a\n");

    assert_eq!([(); 4].map(|()| is_read(&mut watch)), [false, true, false, false]);
}

#[test]
fn a_change_made_before_the_first_look_is_seen() {
    let folder = Folder::new();
    let file = folder.write("k.jwk", &key("k").to_json());
    let files = Files::load(KeyConfig { files: vec![file], ..KeyConfig::default() }).unwrap();
    folder.write("k.jwk", &key("kk").to_json());

    let mut watch = Watch::new(files);

    assert_eq!([(); 3].map(|()| is_read(&mut watch)), [false, true, false]);
}

#[test]
fn a_file_that_is_always_written_to_is_read_all_the_same() {
    let folder = Folder::new();
    let mut watch = watch(&folder);

    let mut list = String::new();
    let read = [(); 7].map(|()| {
        list += "jti a\n";
        folder.write("revoked", &list);
        is_read(&mut watch)
    });

    assert_eq!(read, [false, false, true, false, false, true, false]);
}

#[test]
fn files_that_come_go_or_are_swapped_are_changes() {
    let folder = Folder::new();
    let mut watch = watch(&folder);
    let twice = |watch: &mut Watch| [is_read(watch), is_read(watch)];

    fs::remove_file(folder.0.join("revoked")).unwrap();
    assert_eq!(twice(&mut watch), [false, true]);
    folder.write("revoked", "");
    assert_eq!(twice(&mut watch), [false, true]);
    // As large, and as old.
    let path = folder.0.join("k.jwk");
    fs::copy(&path, folder.0.join("new")).unwrap();
    let times = fs::FileTimes::new().set_modified(fs::metadata(&path).unwrap().modified().unwrap());
    fs::File::options().write(true).open(folder.0.join("new")).unwrap().set_times(times).unwrap();
    fs::rename(folder.0.join("new"), path).unwrap();
    assert_eq!(twice(&mut watch), [false, true]);
}
