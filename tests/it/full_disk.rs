//! A disk that is really full: a small tmpfs for root, a limit on the size of files for others.

use crate::harness::archive::{findings, small_database};
use crate::harness::{Repo, Run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs, unmounted in the end.
struct Disk(PathBuf);

impl Disk {
    fn of(kilobytes: u64, more: &str) -> Option<(Self, tempfile::TempDir)> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k{more}"), "none"])
            .arg(folder.path())
            .output()
            .unwrap();
        // A container's root may not mount.
        mounted.status.success().then(|| (Self(folder.path().to_owned()), folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

fn names(root: &Path, folder: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn backup(repo: &Repo, root: &Path, url: &str) -> Run {
    let mut command = repo.command(&["backup", "--url", url, "--no-migrations", "--name", "new"]);
    command.arg("--repo").arg(root);
    // The last --repo wins in no way that clap allows; the harness's own is taken out.
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let position = arguments.iter().position(|argument| argument == "--repo").unwrap();
    let mut plain = crate::harness::pgark();
    plain.args(&arguments[..position]).args(&arguments[position + 2..]);
    Run::from(plain.output().unwrap())
}

#[test]
fn a_full_disk_leaves_no_trace_of_the_backup_and_older_ones_as_they_were() {
    let database = small_database();
    let url = database.url();
    let repo = Repo::new();
    let old = repo.backup(&database, &["--name", "old", "--no-migrations"]);
    let bytes = std::fs::read(&old).unwrap();
    let manifest = std::fs::read(repo.path().join("manifests/old.json")).unwrap();
    let needed = (bytes.len() + manifest.len()) as u64 / 1024;
    let (mut full, mut whole) = (0, 0);
    for size in (4..needed + 60).step_by(4) {
        let Some((disk, _folder)) = Disk::of(needed + 8 + size, "") else {
            eprintln!("not root: only the limit on the size of files is tested");
            return;
        };
        let root = disk.0.clone();
        for folder in ["backups", "manifests"] {
            std::fs::create_dir(root.join(folder)).unwrap();
        }
        std::fs::copy(&old, root.join("backups/old.tar")).unwrap();
        std::fs::copy(repo.path().join("manifests/old.json"), root.join("manifests/old.json"))
            .unwrap();
        let run = backup(&repo, &root, &url);
        assert_eq!(std::fs::read(root.join("backups/old.tar")).unwrap(), bytes);
        assert_eq!(std::fs::read(root.join("manifests/old.json")).unwrap(), manifest);
        if run.code == 0 {
            whole += 1;
            assert_eq!(names(&root, "manifests"), ["new.json", "old.json"]);
            assert!(findings(&std::fs::read(root.join("backups/new.tar")).unwrap()).is_empty());
        } else {
            full += 1;
            run.expect_code(16).says(&["hint: make room on the disk"]);
            assert_eq!(names(&root, "manifests"), ["old.json"], "{size} KB");
            assert_eq!(names(&root, "backups"), ["old.tar"], "{size} KB");
        }
    }
    assert!(full >= 5 && whole >= 1, "{full} full disks, {whole} with room");
}

#[test]
fn a_disk_without_inodes_is_a_full_disk() {
    let database = small_database();
    let repo = Repo::new();
    for inodes in 1..10 {
        let Some((disk, _folder)) = Disk::of(4096, &format!(",nr_inodes={inodes}")) else { return };
        let run = backup(&repo, &disk.0, &database.url());
        let listed = names(&disk.0, "manifests");
        if run.code == 0 {
            assert_eq!(listed, ["new.json"]);
        } else {
            run.expect_code(16);
            assert!(listed.is_empty() && names(&disk.0, "backups").is_empty(), "{inodes} inodes");
        }
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk_too() {
    let (database, repo) = (small_database(), Repo::new());
    let plain = repo.command(&["backup", "--url", &database.url(), "--no-migrations"]);
    for kilobytes in [1, 8, 16] {
        let mut limited = Command::new("bash");
        limited.arg("-c").arg(format!("ulimit -f {kilobytes}; exec \"$@\"")).arg("sh");
        limited.arg(plain.get_program()).args(plain.get_args()).current_dir(repo.path());
        let run = Run::from(limited.output().unwrap());
        run.expect_code(16).says(&["hint: make room on the disk, or lift the limit"]);
        assert_eq!(repo.files(), Vec::new(), "{kilobytes} KB");
    }
}
