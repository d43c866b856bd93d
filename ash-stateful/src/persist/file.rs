//! The store's file: a redb database with one table of values, and one that says what it is.

use std::any::Any;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
    TableHandle,
};
use serde_json::Value;
use tempfile::TempPath;

use crate::persist::error::PersistError;
use crate::persist::staged_disk::StagedDisk;

/// The values, as JSON text.
const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");
/// The table that marks a database as a store of ours.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("ash-stateful");
const FORMAT_KEY: &str = "format";
/// The format that this version writes, and the only one that it reads.
const FORMAT: u64 = 1;
/// How much of the file the database may keep in memory. The context holds all values already.
const CACHE_BYTES: usize = 8 << 20;
/// How deeply a value may be nested: the JSON reader takes no more.
const MAX_DEPTH: usize = 127;

/// The last change of each key. `None` removes it.
pub(crate) type Changes = HashMap<String, Option<Value>>;

/// Opens what the bytes are stored on; tests use it to simulate a full disk.
pub(crate) type OpenDisk = dyn Fn(&Path) -> io::Result<Box<dyn StorageBackend>> + Send;

/// An open store.
pub(crate) struct StoreFile {
    path: PathBuf,
    open_disk: Box<OpenDisk>,
    /// `None` after a failed commit, until it has been reopened: redb refuses all work after one.
    database: Option<Database>,
}

impl StoreFile {
    /// Opens a store, or creates one if there is no file, and reads all it holds.
    ///
    /// # Errors
    ///
    /// If it is locked, damaged, foreign, of another version, or cannot be read or written. The
    /// file is left untouched.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<(String, Value)>), PersistError> {
        Self::open_on(path, Box::new(file_disk))
    }

    pub(crate) fn open_on(
        path: &Path,
        open_disk: Box<OpenDisk>,
    ) -> Result<(Self, Vec<(String, Value)>), PersistError> {
        // The working directory may change before it is opened again.
        let path = std::path::absolute(path).map_err(|error| PersistError::io(path, error))?;
        if !path.try_exists().map_err(|error| PersistError::io(&path, error))? {
            create(&path)?;
        }
        let (database, values) = open_database(&path, &open_disk, None, read_all)?;
        Ok((Self { path, open_disk, database: Some(database) }, values))
    }

    /// Writes all changes, or none of them. When it returns they are durable.
    ///
    /// # Errors
    ///
    /// If a value cannot be written, or the file cannot. The store holds what it held before.
    pub(crate) fn commit(&mut self, changes: &Changes) -> Result<(), PersistError> {
        if changes.is_empty() {
            return Ok(());
        }
        let path = self.path.clone();
        contain(&path, || self.try_commit(changes))
    }

    fn try_commit(&mut self, changes: &Changes) -> Result<(), PersistError> {
        let changes = encode(changes)?;
        let database = match self.database.take() {
            Some(database) => database,
            None => self.reopen(None)?,
        };
        let before = self.len();
        let written = contain(&self.path, || write(&self.path, &database, &changes));
        if written.is_ok() {
            self.database = Some(database);
        } else {
            let cut = Cut { from: self.len(), to: before };
            // Reopened at once, so that the file is unlocked for as short a time as possible.
            let _ = contain(&self.path, || {
                drop(database);
                Ok(())
            });
            self.database = self.reopen(Some(cut)).or_else(|_| self.reopen(None)).ok();
        }
        written
    }

    fn reopen(&self, cut: Option<Cut>) -> Result<Database, PersistError> {
        let reopened = open_database(&self.path, &self.open_disk, cut, |_, _| Ok(()));
        reopened.map(|(database, ())| database)
    }

    /// Returns the size of the file; zero if it is gone.
    fn len(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }
}

/// Cuts off what a failed commit has added to the file, which may be what fills the disk. What was
/// durable before is not there. A file that is not as long as the commit had left it is not cut:
/// somebody else has written it since.
struct Cut {
    from: u64,
    to: u64,
}

impl Cut {
    fn apply(&self, disk: &StagedDisk) -> io::Result<()> {
        let is_longer = (1..self.from).contains(&self.to);
        if is_longer && disk.len()? == self.from { disk.set_len(self.to) } else { Ok(()) }
    }
}

fn file_disk(path: &Path) -> io::Result<Box<dyn StorageBackend>> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    Ok(Box::new(backend(file)?))
}

fn backend(file: File) -> io::Result<FileBackend> {
    FileBackend::new(file).map_err(io::Error::other)
}

/// Opens the database of an existing file and reads it; the file is written, and cut, only if all
/// is well.
fn open_database<T>(
    path: &Path,
    open_disk: &OpenDisk,
    cut: Option<Cut>,
    read: impl FnOnce(&Path, &Database) -> Result<T, PersistError>,
) -> Result<(Database, T), PersistError> {
    let io = |error| PersistError::io(path, error);
    let staged = StagedDisk::new(open_disk(path).map_err(io)?).map_err(io)?;
    cut.map_or(Ok(()), |cut| cut.apply(&staged)).map_err(io)?;
    let disk = staged.clone();
    let opened = contain(path, move || {
        let database = Builder::new()
            .set_cache_size(CACHE_BYTES)
            // A damaged file is reported here, and not by whatever reads it later.
            .set_check_integrity_on_open(true)
            .create_with_backend(disk)
            .map_err(|error| PersistError::store(path, error))?;
        identify(path, &database)?;
        let values = read(path, &database)?;
        Ok((database, values))
    })?;
    staged.commit().map_err(io)?;
    Ok(opened)
}

/// Checks that a database is a store of ours; turns an empty one into a store.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not ours, and it grows")]
fn identify(path: &Path, database: &Database) -> Result<(), PersistError> {
    let store = |error: redb::Error| PersistError::store(path, error);
    let read = || -> Result<_, redb::Error> {
        let transaction = database.begin_read()?;
        let mut names = Vec::new();
        for table in transaction.list_tables()? {
            names.push(table.name().to_owned());
        }
        let is_empty = names.is_empty() && transaction.list_multimap_tables()?.next().is_none();
        if is_empty || !names.iter().any(|name| name == ABOUT.name()) {
            return Ok((is_empty, None));
        }
        let about = transaction.open_table(ABOUT)?;
        Ok((false, about.get(FORMAT_KEY)?.map(|format| format.value())))
    };
    let about = read().or_else(|error| match error {
        // A table of that name, but of other types.
        redb::Error::TableTypeMismatch { .. } | redb::Error::TableIsMultimap(_) => {
            Ok((false, None))
        }
        error => Err(store(error)),
    })?;
    match about {
        (_, Some(FORMAT)) => Ok(()),
        (_, Some(found)) => Err(PersistError::Version { path: path.to_owned(), found }),
        (false, None) => Err(PersistError::Foreign { path: path.to_owned() }),
        (true, None) => write_format(database).map_err(store),
    }
}

/// Makes an empty database a store: writes the format and creates the tables.
fn write_format(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ABOUT)?.insert(FORMAT_KEY, FORMAT)?;
    transaction.open_table(VALUES)?;
    transaction.commit()?;
    Ok(())
}

fn read_all(path: &Path, database: &Database) -> Result<Vec<(String, Value)>, PersistError> {
    let read = || -> Result<_, redb::Error> {
        let table = database.begin_read()?.open_table(VALUES)?;
        let mut values = Vec::new();
        for entry in table.iter()? {
            let (key, json) = entry?;
            values.push((key.value().to_owned(), serde_json::from_slice(json.value())));
        }
        Ok(values)
    };
    let values = read().map_err(|error| PersistError::store(path, error))?;
    let values = values.into_iter().map(|(key, value)| Ok((key, value?)));
    values.collect::<Result<_, _>>().map_err(|error: serde_json::Error| {
        // This crate can read all it writes, so somebody else has written it.
        PersistError::corrupt(path, error)
    })
}

fn write(path: &Path, database: &Database, changes: &[Encoded<'_>]) -> Result<(), PersistError> {
    let write = || -> Result<_, redb::Error> {
        let transaction = database.begin_write()?;
        let mut values = transaction.open_table(VALUES)?;
        for (key, json) in changes {
            match json {
                Some(json) => drop(values.insert(key, json.as_slice())?),
                None => drop(values.remove(key)?),
            }
        }
        drop(values);
        transaction.commit()?;
        Ok(())
    };
    write().map_err(|error| PersistError::store(path, error))
}

/// A change of a key, its value as a JSON text.
type Encoded<'a> = (&'a str, Option<Vec<u8>>);

fn encode(changes: &Changes) -> Result<Vec<Encoded<'_>>, PersistError> {
    let encode = |(key, value): (&'_ String, &Option<Value>)| {
        let too_deep = || PersistError::TooDeep { key: key.clone(), limit: MAX_DEPTH };
        let json = value.as_ref().map(|value| {
            if !is_within(value, MAX_DEPTH) {
                return Err(too_deep());
            }
            Ok(serde_json::to_vec(value).expect("a JSON value can be serialized"))
        });
        json.transpose()
    };
    changes.iter().map(|change| Ok((change.0.as_str(), encode(change)?))).collect()
}

/// Tells whether a value is nested no more than `levels` deep.
fn is_within(value: &Value, levels: usize) -> bool {
    let fits = |inner: &Value| levels > 0 && is_within(inner, levels - 1);
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(array) => levels > 0 && array.iter().all(fits),
        Value::Object(object) => levels > 0 && object.values().all(fits),
    }
}

/// Creates a new, empty store atomically: redb does not open a file that a crash has left half
/// made. So the store is written to a uniquely named file in the same directory, which is renamed
/// into place when it is complete.
fn create(path: &Path) -> Result<(), PersistError> {
    let io = |error| PersistError::io(path, error);
    let name = path.file_name().ok_or_else(|| io(io::ErrorKind::IsADirectory.into()))?;
    // A long name leaves no room for what makes it unique: systems take 255 bytes.
    let mut prefix = if name.len() > 200 { "context".into() } else { name.to_owned() };
    prefix.push(".");
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    let new = tempfile::Builder::new().prefix(&prefix).suffix(".new").tempfile_in(directory);
    let new = new.map_err(io)?;
    contain(path, || {
        let make = || -> Result<_, redb::Error> {
            let disk = backend(new.as_file().try_clone()?)?;
            let database = Builder::new().create_with_backend(disk)?;
            write_format(&database)?;
            Ok(database.close()?)
        };
        make().map_err(|error| PersistError::store(path, error))
    })?;
    place(new.into_temp_path(), path).map_err(io)?;
    sync_directory(path).map_err(io)
}

/// Moves a new store into place, unless there is one by now.
fn place(new: TempPath, path: &Path) -> io::Result<()> {
    match new.persist_noclobber(path) {
        Ok(()) => Ok(()),
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // The file system cannot rename without replacing.
        Err(failed) => failed.path.persist(path).map_err(|failed| failed.error),
    }
}

/// Makes the directory entry of a file durable.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Runs the database's code and turns a panic, which some damaged files cause, into an error.
fn contain<T>(path: &Path, f: impl FnOnce() -> Result<T, PersistError>) -> Result<T, PersistError> {
    let panicked = |payload: Box<dyn Any + Send>| PersistError::panicked(path, &*payload);
    // Whatever the panic left inconsistent is dropped, and opened anew from the file.
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| Err(panicked(payload)))
}
