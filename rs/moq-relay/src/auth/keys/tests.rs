use moq_token::{Key, Policy, Verifier};

use super::*;
use crate::auth::testing::{Folder, at, claims, key};

/// A file of this key's public half.
fn public(key: &Key) -> String {
    key.public().unwrap().to_json().to_string()
}

fn config(files: &[&PathBuf], folders: &[&PathBuf]) -> KeyConfig {
    let owned = |paths: &[&PathBuf]| paths.iter().map(|path| path.to_path_buf()).collect();
    KeyConfig { files: owned(files), folders: owned(folders), revoked: None }
}

/// Whether tokens by this key are good.
fn trusts(files: &Files, key: &Key) -> bool {
    let verifier = Verifier::new(files.trusted(), Policy::default(), files.revoked().clone());
    verifier.verify(&key.sign(&claims()).unwrap(), at(0)).is_ok()
}

fn told(wrong: &[FileError]) -> String {
    wrong.iter().map(|error| format!("{error}\n")).collect()
}

#[test]
fn files_sets_and_folders_count_together() {
    let folder = Folder::new();
    let [one, two, three, four, stranger] = ["one", "two", "three", "four", "stranger"].map(key);
    let single = folder.write("single.jwk", &one.to_base64url());
    let set = folder.write("set.json", &format!(r#"{{"keys":[{},{}]}}"#, public(&two), public(&three)));
    let keys = Folder::new();
    keys.write("four.jwk", &public(&four));
    keys.write(".stranger.jwk", &public(&stranger));
    keys.write("stranger.jwk.bak", &public(&stranger));

    let files = Files::load(config(&[&single, &set], &[&keys.0])).unwrap();

    assert!([&one, &two, &three, &four].into_iter().all(|key| trusts(&files, key)));
    assert!(!trusts(&files, &stranger));
    assert_eq!(files.keys(), 4);
    assert!(files.trusted().iter().all(|key| !key.is_private()));
}

#[test]
fn a_key_without_an_id_takes_the_name_of_its_file() {
    let keys = Folder::new();
    let (named, other) = (key("spring"), key("other"));
    keys.write("spring.jwk", &public(&named).replace(r#""kid":"spring""#, r#""x-was":"spring""#));
    keys.write("other.jwk", &public(&other));

    let files = Files::load(config(&[], &[&keys.0])).unwrap();

    assert!(trusts(&files, &named));
    assert_eq!(files.trusted().iter().filter(|key| key.id().is_none()).count(), 0);
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let rows = [
        ("k.jwk", "{".to_owned(), "k.jwk: not a JSON Web Key Set: EOF"),
        (
            "k.jwk",
            public(&key("other")),
            "k.jwk: in a folder of keys, a file is named after the id of its key, and this one holds `other`",
        ),
        ("my key.jwk", public(&key("k")), "my key.jwk: in a folder of keys"),
        ("k.jwk", format!(r#"{{"keys":[{},{}]}}"#, public(&key("k")), public(&key("l"))), "holds one key, and this one 2"),
    ];
    for (name, text, said) in rows {
        let keys = Folder::new();
        keys.write(name, &text);
        let wrong = told(&Files::load(config(&[], &[&keys.0])).unwrap_err());
        assert!(wrong.contains(said), "{wrong}\ndoes not say\n{said}");
    }
    let missing = PathBuf::from("/nonexistent/k.jwk");
    assert!(told(&Files::load(config(&[&missing], &[&missing])).unwrap_err()).contains("/nonexistent/k.jwk: "));
}

#[test]
fn a_broken_file_leaves_what_was_good() {
    let folder = Folder::new();
    let (one, two, new) = (key("one"), key("two"), key("new"));
    let (first, second) = (folder.write("1.jwk", &public(&one)), folder.write("2.jwk", &public(&two)));
    let mut files = Files::load(config(&[&first, &second], &[])).unwrap();

    for broken in ["", "{", &public(&one)[..40], r#"{"keys":[]}"#] {
        folder.write("1.jwk", broken);
        assert!(told(&files.update()).contains("1.jwk"), "{broken}");
        assert!(trusts(&files, &one) && trusts(&files, &two), "{broken}");
    }
    folder.write("2.jwk", &public(&new));
    files.update();
    assert!(trusts(&files, &one) && !trusts(&files, &two) && trusts(&files, &new), "the others go on meanwhile");

    folder.write("1.jwk", &public(&two));
    assert!(files.update().is_empty());
    assert!(!trusts(&files, &one) && trusts(&files, &two));
}

#[test]
fn a_file_that_is_gone_takes_its_keys_along() {
    let (folder, keys) = (Folder::new(), Folder::new());
    let (one, two, three) = (key("one"), key("two"), key("three"));
    let file = folder.write("1.jwk", &public(&one));
    let listed = keys.write("two.jwk", &public(&two));
    keys.write("three.jwk", &public(&three));
    let mut files = Files::load(config(&[&file], &[&keys.0])).unwrap();

    fs::remove_file(&listed).unwrap();
    assert!(files.update().is_empty(), "a folder may lose a file");
    assert!(trusts(&files, &one) && !trusts(&files, &two) && trusts(&files, &three));

    fs::remove_file(&file).unwrap();
    assert!(told(&files.update()).contains("1.jwk"), "a file that is named is missed");
    assert!(!trusts(&files, &one) && trusts(&files, &three));
}

#[test]
fn two_keys_with_one_id_are_a_conflict_that_changes_nothing() {
    let folder = Folder::new();
    let (old, impostor) = (key("k"), key("k"));
    let (first, second) = (folder.write("1.jwk", &public(&old)), folder.write("2.jwk", &public(&key("other"))));
    let mut files = Files::load(config(&[&first, &second], &[])).unwrap();

    folder.write("2.jwk", &public(&impostor));

    assert!(told(&files.update()).contains("2.jwk: does not go with the other files: two different keys have the id `k`"));
    assert!(trusts(&files, &old) && !trusts(&files, &impostor));
    fs::rename(&second, &first).unwrap();
    files.update();
    assert!(!trusts(&files, &old) && trusts(&files, &impostor), "a key may replace another in its place");
}

#[test]
fn revocations_stay_until_there_is_a_good_list_without_them() {
    let folder = Folder::new();
    let key = key("k");
    let (file, revoked) = (folder.write("k.jwk", &public(&key)), folder.write("revoked", "kid k\n"));
    let mut files = Files::load(KeyConfig { revoked: Some(revoked.clone()), ..config(&[&file], &[]) }).unwrap();
    assert!(!trusts(&files, &key));

    folder.write("revoked", "kid k\nkid");
    assert!(told(&files.update()).contains("revoked: line 2"));
    assert!(!trusts(&files, &key));
    fs::remove_file(&revoked).unwrap();
    assert!(told(&files.update()).contains("revoked: No such file"));
    assert!(!trusts(&files, &key));

    folder.write("revoked", "# nothing any more\n");
    assert!(files.update().is_empty());
    assert!(trusts(&files, &key));
}
