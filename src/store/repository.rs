//! A repository: a folder with `backups/` and `manifests/`. A backup exists when its manifest is
//! in `manifests/`.

use super::durable::{self, PARTIAL_SUFFIX, StagedFile};
use crate::error::{Error, Kind, Result};
use rustix::fs::FlockOperation;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder of archives and manifests.
pub struct Repository {
    root: PathBuf,
}

/// Held while a repository is written to; the kernel frees it with the process.
pub struct WriteLock {
    _file: File,
}

/// What runs that were killed had left, and what became of it.
#[derive(Debug, Default)]
pub struct Swept {
    /// Names of archives that lacked nothing but their manifest's name, and have it now.
    pub published: Vec<String>,
    /// Half-written files that were removed.
    pub removed: Vec<PathBuf>,
}

impl Repository {
    /// The repository at `root`, which need not have its two folders yet.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such folder.
    pub fn at(root: &Path) -> Result<Self> {
        // The entry of a folder that was removed stays for whoever is in it.
        if root.metadata().is_ok_and(|folder| folder.is_dir() && folder.nlink() == 0) {
            return Err(Error::new(
                Kind::NotFound,
                format!("the folder {} has been removed", root.display()),
            )
            .hint("go to another folder, or name the repository with --repo"));
        }
        if !root.is_dir() {
            return Err(Error::new(
                Kind::NotFound,
                format!("the repository {} is not a folder", root.display()),
            )
            .hint("make the folder, or name another with --repo"));
        }
        Ok(Self { root: root.to_owned() })
    }

    /// The repository at `root`, in which a backup has been made or begun.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such folder, or nothing of a repository in it.
    pub fn existing(root: &Path) -> Result<Self> {
        let repository = Self::at(root)?;
        if repository.backups().is_dir() || repository.manifests().is_dir() {
            return Ok(repository);
        }
        let text = format!(
            "{} is not a repository: it has neither backups/ nor manifests/",
            root.display()
        );
        Err(Error::new(Kind::NotFound, text).hint(
            "name the repository with --repo; the first `pgark backup` makes the two folders",
        ))
    }

    /// The folders that a backup would write to: those of archives and manifests, and the root, which
    /// they are made in.
    pub fn folders(&self) -> Vec<PathBuf> {
        let there = [self.manifests(), self.backups()].into_iter().filter(|folder| folder.is_dir());
        std::iter::once(self.root.clone()).chain(there).collect()
    }

    /// Whether another run is writing to it now. Nothing is made for the question.
    pub fn is_being_written(&self) -> Result<bool> {
        let path = self.lock_path();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io(format!("cannot open {}", path.display()), error)),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(Error::io(format!("cannot lock {}", path.display()), error.into())),
        }
    }

    /// Makes the two folders where they are missing, and locks out other writers.
    ///
    /// # Errors
    /// [`Kind::Locked`] when another run holds the repository.
    pub fn lock(&self) -> Result<WriteLock> {
        for folder in [self.backups(), self.manifests()] {
            if !folder.is_dir() {
                std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(|error| {
                    Error::io(format!("cannot make {}", folder.display()), error)
                        .hint("name a folder that can be written to with --repo")
                })?;
                durable::sync_folder_of(&folder)?;
            }
        }
        let path = self.lock_path();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::io(format!("cannot open {}", path.display()), error))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            if error == rustix::io::Errno::WOULDBLOCK {
                let held = format!("another pgark is writing to {}", self.root.display());
                return Error::new(Kind::Locked, held).hint("wait until it has ended");
            }
            Error::io(format!("cannot lock {}", path.display()), error.into())
        })?;
        Ok(WriteLock { _file: file })
    }

    /// Ends what runs that were killed have begun: publishes the manifest of an archive that has
    /// its name already, which only a whole, synced and verified one gets while its synced
    /// manifest waits beside it; and removes what is half-written.
    pub fn sweep(&self, _lock: &WriteLock) -> Result<Swept> {
        let mut published = Vec::new();
        for name in names_in(&self.manifests())? {
            let name = name.strip_prefix('.').and_then(|name| name.strip_suffix(PARTIAL_SUFFIX));
            let Some(name) = name.and_then(|name| name.strip_suffix(".json")) else { continue };
            let manifest = self.manifest_path(name);
            if self.archive_path(name).is_file() && !manifest.exists() {
                let staged = durable::staged_path(&manifest);
                durable::rename_without_replacing(&staged, &manifest).map_err(|error| {
                    Error::io(format!("cannot publish {}", manifest.display()), error)
                })?;
                durable::sync_folder_of(&manifest)?;
                published.push(name.to_owned());
            }
        }
        let mut removed = Vec::new();
        for folder in [self.backups(), self.manifests()] {
            for name in names_in(&folder)? {
                if name.starts_with('.') && name.ends_with(PARTIAL_SUFFIX) {
                    let path = folder.join(name);
                    std::fs::remove_file(&path).map_err(|error| {
                        Error::io(format!("cannot remove {}", path.display()), error)
                    })?;
                    removed.push(path);
                }
            }
        }
        Ok(Swept { published, removed })
    }

    /// The file that keeps an archive from being called `name`.
    pub fn taken(&self, name: &str) -> Option<PathBuf> {
        [self.archive_path(name), self.manifest_path(name)].into_iter().find(|path| path.exists())
    }

    /// Begins the archive `name`.
    pub fn stage_archive(&self, _lock: &WriteLock, name: &str) -> Result<StagedFile> {
        if let Some(taken) = self.taken(name) {
            return Err(Error::refused(format!("{} exists already", taken.display()))
                .hint("give another name with --name"));
        }
        StagedFile::create(&self.archive_path(name))
    }

    /// Makes the archive `name` exist: its manifest is written beside its place and synced, the
    /// archive takes its name, and the manifest takes its own. All that could fail for want of
    /// space is done before the first of the two names is given.
    pub fn publish(&self, name: &str, archive: StagedFile, manifest: &[u8]) -> Result<()> {
        let manifest = durable::stage_whole(&self.manifest_path(name), manifest)?;
        durable::sync_folder_of(&self.manifest_path(name))?;
        archive.publish()?;
        manifest.publish().inspect_err(|_| durable::withdraw(&self.archive_path(name)))
    }

    /// Names of all archives that exist, sorted.
    pub fn names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = names_in(&self.manifests())?
            .into_iter()
            .filter(|name| !name.starts_with('.'))
            .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Archive files without a manifest: they were never finished, or were brought by hand.
    pub fn unlisted(&self) -> Result<Vec<PathBuf>> {
        let mut unlisted: Vec<PathBuf> = names_in(&self.backups())?
            .into_iter()
            .filter(|name| !name.starts_with('.'))
            .filter_map(|name| name.strip_suffix(".tar").map(str::to_owned))
            .filter(|name| !self.manifest_path(name).exists())
            .map(|name| self.archive_path(&name))
            .collect();
        unlisted.sort();
        Ok(unlisted)
    }

    /// The bytes of a manifest in `manifests/`, or `None` where there is none of that name.
    pub fn manifest(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.manifest_path(name);
        match std::fs::read(&path) {
            Ok(json) => Ok(Some(json)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(format!("cannot read {}", path.display()), error)),
        }
    }

    /// Where the archive `name` is.
    pub fn archive_path(&self, name: &str) -> PathBuf {
        self.backups().join(format!("{name}.tar"))
    }

    /// Bytes of the archive `name`, if its file is there.
    pub fn archive_size(&self, name: &str) -> Option<u64> {
        std::fs::metadata(self.archive_path(name)).ok().map(|metadata| metadata.len())
    }

    /// Where its manifest is.
    pub fn manifest_path(&self, name: &str) -> PathBuf {
        self.manifests().join(format!("{name}.json"))
    }

    fn lock_path(&self) -> PathBuf {
        self.root.join(".pgark.lock")
    }

    fn backups(&self) -> PathBuf {
        self.root.join("backups")
    }

    fn manifests(&self) -> PathBuf {
        self.root.join("manifests")
    }
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let failed = |error| Error::io(format!("cannot read {}", folder.display()), error);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        // A name that is not UTF-8 is not one that pgark gave.
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}
