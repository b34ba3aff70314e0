//! Opening a store: whose it is, which version it has, and what the dead left behind.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

use crate::error::{Context, Error, Result};
use crate::files::{self, Durability};
use crate::gate::{Discarding, Gate, Taking};
use crate::journal::{self, Journal};
use crate::layout::{Layout, VERSION};
use crate::object::Object;
use crate::session::{self, Seen, Session};
use crate::{Blobs, Memo, Records};

/// The longest owner that is read, in bytes.
const MAX_OWNER: u64 = 64 << 10;

/// An open store. Clones are handles of the same opening; any thread may use any of them.
///
/// Whatever is looked up, made or written through a handle is held until the last clone is dropped: no other process's
/// prune removes it meanwhile.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    root: PathBuf,
    pub(crate) layout: Layout,
    pub(crate) gate: Gate,
    pub(crate) journal: Journal,
    pub(crate) now: SystemTime,
    boot: String,
    session: Mutex<Option<Arc<Session>>>,
    /// Bytes that this process added.
    pub(crate) grown: AtomicU64,
}

impl Store {
    /// Opens the store in `root`, making it where there is none.
    ///
    /// `owner` says in one text who uses it: the user and the id map, on which the owners of files on disk depend. A
    /// store made for another owner is refused, and so is one of a newer version. `now` is the time by which the last
    /// use of cache records is remembered.
    pub fn open(root: &Path, owner: &str, now: SystemTime) -> Result<Store> {
        refuse_newer(root)?;
        let layout = Layout::new(root);
        make(&layout, owner)?;
        let boot = journal::boot_id();
        let inner = Inner {
            root: root.to_owned(),
            gate: Gate::new(layout.gate()),
            journal: Journal::new(&layout.unsynced(), &boot),
            layout,
            now,
            boot,
            session: Mutex::new(None),
            grown: AtomicU64::new(0),
        };
        inner.check_owner(owner)?;
        inner.recover()?;
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Returns the folder that was opened.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Returns the directory in which the sandbox may keep the mount points of all steps, on the layers' file system.
    pub fn mount_points(&self) -> PathBuf {
        self.inner.layout.mount_points()
    }

    /// Returns the blobs.
    pub fn blobs(&self) -> Blobs {
        Blobs::new(self.clone())
    }

    /// Returns the cache records of one kind: lower-case letters, digits and hyphens.
    pub fn records(&self, kind: &'static str) -> Records {
        Records::new(self.clone(), kind)
    }

    /// Returns what is known of compressed layers.
    pub fn memo(&self) -> Memo {
        Memo::new(self.clone())
    }

    /// Makes a file without a name on the store's file system, for reading and writing: it goes with its last handle.
    pub fn temporary_file(&self) -> Result<File> {
        let path = self.inner.temporary()?;
        let file =
            File::options().read(true).write(true).create_new(true).open(&path).context("create", &path)?;
        files::remove_file(&path)?;
        Ok(file)
    }

    /// Returns the time by the clock that gives the store's files theirs, which may be another machine's.
    pub fn disk_time(&self) -> Result<SystemTime> {
        let file = self.temporary_file()?;
        let time = file.metadata().and_then(|metadata| metadata.modified());
        time.context("read the time of", self.root())
    }

    /// Returns the time given to [`Store::open`] in seconds since 1970.
    pub fn seconds(&self) -> i64 {
        let since = self.inner.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    /// Waits until everything written so far is on disk, with one `syncfs`; at once if there is nothing to wait for.
    ///
    /// What was not synced when the power went is forgotten by the next opening.
    pub fn sync(&self) -> Result<()> {
        self.inner.journal.sync(&self.inner.gate)
    }
}

impl Inner {
    /// Returns this process's session, starting it with the first use: commands that only look need none.
    pub(crate) fn session(&self, gate: &Taking<'_>) -> Result<Arc<Session>> {
        let mut session = self.session.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(session) = &*session {
            return Ok(session.clone());
        }
        let started = Arc::new(Session::start(&self.layout.sessions(), &self.boot, gate)?);
        Ok(session.insert(started).clone())
    }

    /// Holds `object`, whether or not it is there.
    pub(crate) fn hold(&self, object: &Object, gate: &Taking<'_>) -> Result<()> {
        self.session(gate)?.hold(object, gate)
    }

    /// Holds and journals `object`, then lets `name` give it its name.
    pub(crate) fn publish(&self, object: &Object, name: impl FnOnce() -> Result<()>) -> Result<()> {
        let gate = self.gate.take()?;
        self.hold(object, &gate)?;
        self.journal.note(object, &gate)?;
        name()
    }

    /// Returns an unused path on the store's file system that is removed if this process dies.
    pub(crate) fn temporary(&self) -> Result<PathBuf> {
        Ok(self.session(&self.gate.take()?)?.temporary())
    }

    /// Removes `object` at once, or moves it to the trash if that is a tree.
    pub(crate) fn discard(&self, object: &Object, _gate: &Discarding) -> Result<()> {
        match object {
            Object::Blob(digest) => files::remove_file(&self.layout.blob(digest)),
            Object::Layer(id) => self.move_to_trash(&self.layout.layer(id)),
            Object::Record(kind, key) => files::remove_file(&self.layout.record(kind, key)),
            Object::Image(config) => files::remove_file(&self.layout.image(config)),
        }
    }

    pub(crate) fn move_to_trash(&self, folder: &Path) -> Result<()> {
        let target = self.layout.trash().join(session::unique_name());
        match fs::rename(folder, target) {
            Err(error) if !files::is_absent(&error) => Err(Error::io("remove", folder, error)),
            _ => Ok(()),
        }
    }

    /// Removes the trees in the trash. They have no name any more, so this needs no gate and may be left half-done.
    pub(crate) fn empty_trash(&self) -> Result<()> {
        empty(&self.layout.trash())
    }

    fn check_owner(&self, owner: &str) -> Result<()> {
        let path = self.layout.owner();
        let found = files::read_if_there(&path, MAX_OWNER)?.unwrap_or_default();
        if found == owner.as_bytes() {
            return Ok(());
        }
        let found = String::from_utf8_lossy(&found).into_owned();
        Err(Error::Owner { path: self.root.clone(), expected: owner.to_owned(), found })
    }

    /// Clears away what dead processes and earlier boots left behind.
    fn recover(&self) -> Result<()> {
        let layout = &self.layout;
        let strangers = files::names(&layout.unsynced())?.iter().any(|boot| *boot != self.boot);
        if !files::names(&layout.sessions())?.is_empty() || strangers {
            let gate = self.gate.discard()?;
            let mut boots = vec![self.boot.clone()];
            for seen in session::survey(&layout.sessions(), &gate)? {
                match seen {
                    Seen::Stale(folder) => self.move_to_trash(&folder)?,
                    // Another machine that shares this store runs in another boot, and lives.
                    Seen::Live { boot, .. } => boots.push(boot),
                }
            }
            for (folder, objects) in journal::lost(&layout.unsynced(), &boots)? {
                objects.iter().try_for_each(|object| self.discard(object, &gate))?;
                self.move_to_trash(&folder)?;
            }
        }
        self.empty_trash_meanwhile()
    }

    /// Empties the trash beside what this process does; the next one goes on where this one ends.
    fn empty_trash_meanwhile(&self) -> Result<()> {
        let trash = self.layout.trash();
        if !files::names(&trash)?.is_empty() {
            // What cannot be removed is in nobody's way; a prune will say what is wrong with it.
            let _ = thread::Builder::new().spawn(move || empty(&trash));
        }
        Ok(())
    }
}

/// Removes the trees in a folder.
fn empty(trash: &Path) -> Result<()> {
    files::names(trash)?.iter().try_for_each(|name| session::remove_tree(&trash.join(name)))
}

/// Refuses a root in which a newer version has stored anything: it may know of objects here that we would throw away.
fn refuse_newer(root: &Path) -> Result<()> {
    let newer =
        |name: &String| name.strip_prefix('v').and_then(|n| n.parse().ok()).is_some_and(|n: u32| n > VERSION);
    match files::names(root)?.into_iter().find(newer) {
        Some(name) => Err(Error::Newer { path: root.join(name) }),
        None => Ok(()),
    }
}

/// Makes the folders and writes the owner, where they are missing.
fn make(layout: &Layout, owner: &str) -> Result<()> {
    if layout.owner().exists() {
        return Ok(());
    }
    layout.folders().iter().try_for_each(|folder| files::make_folder(folder))?;
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(layout.base(), private).context("set the mode of", layout.base())?;
    // The owner comes last: where it is, all else is. Of two processes that make the same store, one links it first.
    let temporary = layout.base().join(session::unique_name());
    let written = files::write_new(&temporary, owner.as_bytes(), Durability::Now);
    let linked = written.and_then(|()| match fs::hard_link(&temporary, layout.owner()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::io("create", &layout.owner(), error))
        }
        _ => Ok(()),
    });
    files::remove_file(&temporary)?;
    linked
}
