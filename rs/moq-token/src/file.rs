//! Key files: read within bounds, written so that nobody else reads them and nothing is lost.
//!
//! What is in them is `key`'s and `set`'s.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{KeyError, generate};

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("{path}: larger than {max} bytes")]
    TooLarge { path: PathBuf, max: usize },
    #[error("{path}: not text")]
    NotText { path: PathBuf },
    /// Never overwritten unless asked to.
    #[error("{path} exists already")]
    Exists { path: PathBuf },
    #[error("{path} is not a file")]
    NotAFile { path: PathBuf },
    #[error(transparent)]
    Random(#[from] KeyError),
}

/// Who may read a file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only who wrote it.
    Owner,
    /// Whom the process lets read its files.
    Everybody,
}

/// Whether a file that has content may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    Never,
    Allowed,
}

/// Reads a text of at most `max` bytes.
///
/// # Errors
/// When there is none, or it is larger, or not UTF-8.
pub fn read(path: &Path, max: usize) -> Result<Zeroizing<String>, FileError> {
    let failed = |error| FileError::Io { path: path.to_owned(), error };
    let mut bytes = Zeroizing::new(Vec::new());
    // One byte more than allowed tells a file that is too large.
    File::open(path).map_err(failed)?.take(max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > max {
        return Err(FileError::TooLarge { path: path.to_owned(), max });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| FileError::NotText { path: path.to_owned() })?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Whether others than the owner may read the file, or replace what stands in its folder.
pub fn is_exposed(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    /// Reading and writing, by the group and by all.
    const OTHERS: u32 = 0o066;
    Ok(fs::metadata(path)?.permissions().mode() & OTHERS != 0)
}

/// Writes `text` to `path`, whole or not at all.
///
/// An empty file may always be replaced: a shell makes one where the output is to go before the program has begun. A symbolic
/// link is replaced, never followed.
///
/// # Errors
/// [`FileError::Exists`] when something would be lost; what the system says.
pub fn write(path: &Path, text: &str, access: Access, overwrite: Overwrite) -> Result<(), FileError> {
    let failed = |error| FileError::Io { path: path.to_owned(), error };
    let claimed = claim(path, overwrite)?;
    let draft = draft_of(path)?;
    let written = write_new(&draft, text, access).and_then(|()| fs::rename(&draft, path));
    if let Err(error) = written {
        // What is left behind is empty or partial, and there is nobody else to tell.
        let _ = fs::remove_file(&draft);
        if claimed {
            let _ = fs::remove_file(path);
        }
        return Err(failed(error));
    }
    // The name itself is kept only once the folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Makes `path` ours to replace: creates it empty, or finds it replaceable. Tells whether it was created.
fn claim(path: &Path, overwrite: Overwrite) -> Result<bool, FileError> {
    let failed = |error| FileError::Io { path: path.to_owned(), error };
    match write_new(path, "", Access::Owner) {
        Ok(()) => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let found = fs::symlink_metadata(path).map_err(failed)?;
    match overwrite {
        _ if found.is_dir() => Err(FileError::NotAFile { path: path.to_owned() }),
        Overwrite::Never if !found.is_file() || found.len() > 0 => Err(FileError::Exists { path: path.to_owned() }),
        _ => Ok(false),
    }
}

/// A name beside `path` that nobody else has.
fn draft_of(path: &Path) -> Result<PathBuf, FileError> {
    let Some(name) = path.file_name() else { return Err(FileError::NotAFile { path: path.to_owned() }) };
    let number = u64::from_be_bytes(generate::random()?);
    let mut draft = std::ffi::OsString::from(".");
    draft.push(name);
    draft.push(format!(".{number:016x}"));
    Ok(path.with_file_name(draft))
}

fn write_new(path: &Path, text: &str, access: Access) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mode = match access {
        Access::Owner => 0o600,
        Access::Everybody => 0o666,
    };
    // A new file is never a link somebody else has laid there.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
