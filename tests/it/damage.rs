//! Whatever happens to an archive's bytes, verification finds it and restore refuses it.

use crate::harness::archive::{Parts, check, check_file, findings, small};
use crate::harness::{Database, Repo, Run, pgark};
use pgark::archive::frame;
use pgark::error::Kind;
use pgark::ops::verify::Report;
use pgark::rules::row_digest::RowDigester;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `job` for 0..count on all cores, each with a copy of the small archive of its own.
fn on_all_cores(count: usize, job: impl Fn(usize, &Path) + Sync) {
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let folder = tempfile::tempdir().unwrap();
                let copy = folder.path().join("small.tar");
                write(&copy, small());
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        return;
                    }
                    job(number, &copy);
                }
            });
        }
    });
}

#[allow(clippy::disallowed_methods, reason = "the test's own files")]
fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

fn is_found(result: pgark::error::Result<Report>) -> bool {
    match result {
        Ok(report) => !report.findings.is_empty(),
        // A flipped digit may well make a newer version of the format.
        Err(error) => matches!(error.kind(), Kind::Damaged | Kind::Refused),
    }
}

#[test]
fn the_small_archive_is_small_and_sound() {
    assert_eq!(findings(small()), Vec::<String>::new());
    assert!((20_000..60_000).contains(&small().len()), "{}", small().len());
}

/// Every bit of every frame and of `SHA256SUMS`; two bits of every byte of every header (all of
/// them: `archive::tar_layout`'s own test); one bit, another in each, of every byte of the manifest,
/// of padding and of the end; and of every fourth byte of the other texts, whose bytes nothing tells
/// apart but their SHA-256.
#[test]
fn every_flipped_bit_is_found() {
    let one = |byte: usize| vec![byte % 8];
    let mut bits: Vec<Vec<usize>> = (0..small().len()).map(one).collect();
    let mut offset = 0;
    for (header, content) in Parts::of(small()).members {
        let begin = offset + header.to_blocks().unwrap().len();
        bits[offset..begin].iter_mut().for_each(|bits| bits.push((bits[0] + 4) % 8));
        let content = &mut bits[begin..begin + content.len()];
        if header.name.ends_with(".zst") || header.name == "SHA256SUMS" {
            content.fill((0..8).collect());
        } else if header.name != "manifest.json" {
            content
                .iter_mut()
                .enumerate()
                .for_each(|(byte, bits)| bits.truncate(usize::from(byte % 4 == 0)));
        }
        offset = (begin + content.len()).next_multiple_of(512);
    }
    let missed = Mutex::new(Vec::new());
    on_all_cores(small().len(), |byte, copy| {
        let file = OpenOptions::new().write(true).open(copy).unwrap();
        for bit in &bits[byte] {
            file.write_all_at(&[small()[byte] ^ 1 << bit], byte as u64).unwrap();
            if !is_found(check_file(copy)) {
                missed.lock().unwrap().push((byte, *bit));
            }
        }
        file.write_all_at(&small()[byte..=byte], byte as u64).unwrap();
    });
    let missed = missed.into_inner().unwrap();
    let flips: usize = bits.iter().map(Vec::len).sum();
    assert!(flips > 35_000, "{flips}");
    assert!(missed.is_empty(), "{} of {flips} flips were missed: {missed:?}", missed.len());
}

#[test]
fn a_cut_at_every_length_is_found() {
    let missed = Mutex::new(Vec::new());
    on_all_cores(small().len(), |length, copy| {
        let file = OpenOptions::new().write(true).open(copy).unwrap();
        file.set_len(length as u64).unwrap();
        if !is_found(check_file(copy)) {
            missed.lock().unwrap().push(length);
        }
        file.write_all_at(&small()[length..], length as u64).unwrap();
    });
    assert_eq!(missed.into_inner().unwrap(), Vec::<usize>::new());
}

#[test]
fn bytes_that_are_appended_are_found() {
    let appended: [(&str, Vec<u8>); 6] = [
        ("one zero", vec![0]),
        ("zeros", vec![0; 512]),
        ("many zeros, as GNU tar pads", vec![0; 10_240]),
        ("garbage", b"garbage".repeat(300)),
        ("a zstd frame", frame::compress(b"1\n", 1).unwrap()),
        ("a second archive", small().to_vec()),
    ];
    for (what, bytes) in appended {
        assert!(!findings(&[small(), &bytes].concat()).is_empty(), "{what}");
    }
    let mut parts = Parts::of(small());
    let chunk = parts.content("people/000001");
    chunk.extend(frame::compress(b"9\tx\t\\N\n", 1).unwrap());
    let chunk = chunk.clone();
    // Even with every checksum mended: one member is one frame.
    let found = findings(&Parts::of(small()).replaced("people/000001", &chunk).bytes());
    assert!(found.iter().any(|f| f.contains("bytes after the zstd frame")), "{found:?}");
}

#[test]
fn members_that_moved_changed_places_or_went_missing_are_found() {
    let damage = |what: &str, change: &dyn Fn(&mut Parts)| {
        let mut parts = Parts::of(small());
        change(&mut parts);
        let found = findings(&parts.bytes());
        assert!(!found.is_empty(), "{what}");
    };
    let count = Parts::of(small()).members.len();
    for member in 0..count {
        damage("missing", &|parts| drop(parts.members.remove(member)));
        damage("twice", &|parts| parts.members.insert(0, parts.members[member].clone()));
        damage("renamed", &|parts| parts.members[member].0.name.push('x'));
        damage("other time", &|parts| parts.members[member].0.mtime += 1);
        damage("other mode", &|parts| parts.members[member].0.mode ^= 0o100);
        damage("emptied", &|parts| parts.members[member].1.clear());
        for other in 0..member {
            damage("contents swapped", &|parts| {
                let content = parts.members[member].1.clone();
                parts.members[member].1 = std::mem::replace(&mut parts.members[other].1, content);
            });
        }
    }
    damage("an extra member", &|parts| {
        let mut extra = parts.members[0].clone();
        extra.0.name = String::from("data/extra");
        parts.members.insert(3, extra);
    });
    damage("the manifest not at the end", &|parts| {
        let manifest = parts.members.remove(count - 2);
        parts.members.insert(0, manifest);
    });
}

#[test]
fn members_and_manifests_of_another_archive_are_found() {
    let repo = Repo::new();
    let database = crate::harness::archive::small_database();
    database.execute("UPDATE people SET name = 'Eda' WHERE id = 1");
    let other = std::fs::read(repo.backup(&database, &["--no-migrations"])).unwrap();
    let mut parts = Parts::of(small());
    *parts.content("people/000001") = Parts::of(&other).content("people/000001").clone();
    assert!(!findings(&parts.bytes()).is_empty(), "a chunk of another archive");
    let mut parts = Parts::of(small());
    for name in ["manifest.json", "SHA256SUMS"] {
        *parts.content(name) = Parts::of(&other).content(name).clone();
    }
    assert!(!findings(&parts.bytes()).is_empty(), "the manifest of another archive");
}

#[test]
fn a_manifest_that_lies_with_mended_checksums_is_found() {
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit); 12] = [
        ("one row more", |m| add(&mut m["tables"], "rows", 1)),
        ("one byte more", |m| add(&mut m["tables"], "bytes", 1)),
        ("another digest", |m| change(&mut m["tables"], "digest", "0".repeat(32).into())),
        ("other pages, in both places", |m| {
            each(m, &mut |v| {
                if v.get("chunks").is_some() && v["rows"] == 3 {
                    v["chunks"][0]["rows"] = 4.into();
                    v["rows"] = 4.into();
                }
            });
        }),
        ("large objects' digest", |m| m["large_objects"]["digest"] = "1".repeat(32).into()),
        ("large objects' bytes", |m| m["large_objects"]["bytes"] = 15.into()),
        ("large objects' count", |m| m["large_objects"]["count"] = 3.into()),
        ("a large object less", |m| {
            m["large_objects"]["objects"].as_array_mut().unwrap().pop();
        }),
        ("a migration file's mode", |m| m["migrations"]["files"][0]["mode"] = 0o755.into()),
        ("a migration file's hash", |m| {
            m["migrations"]["files"][0]["sha256"] = "a".repeat(64).into();
        }),
        ("a table without its rows", |m| {
            m["tables"].as_array_mut().unwrap().iter_mut().for_each(|t| t["data"] = false.into());
        }),
        ("a statement beyond its file", |m| {
            first_statement(m)["offset"] = 1_000_000.into();
        }),
    ];
    for (what, edit) in edits {
        let found = findings(&Parts::of(small()).edited(edit).bytes());
        assert!(!found.is_empty(), "{what}");
    }
}

#[test]
fn descriptions_of_other_objects_are_found() {
    let member = "schema/objects.json.zst";
    let mut parts = Parts::of(small());
    let whole = decompress(parts.content(member));
    let mut json: Value = serde_json::from_slice(&whole).unwrap();
    json["objects"].as_array_mut().unwrap().pop();
    let cut = compress(&serde_json::to_vec(&json).unwrap());
    json["objects"].as_array_mut().unwrap().push(json!([{"of": "nothing"}]));
    let wrong = compress(&serde_json::to_vec(&json).unwrap());
    for (what, content) in
        [("one less", &cut), ("of nothing", &wrong), ("no frame", &b"{}".to_vec())]
    {
        let found = findings(&Parts::of(small()).replaced(member, content).bytes());
        assert!(!found.is_empty(), "{what}");
    }
    assert!(findings(&Parts::of(small()).replaced(member, &compress(&whole)).bytes()).is_empty());
}

fn compress(content: &[u8]) -> Vec<u8> {
    pgark::archive::frame::compress(content, 3).unwrap()
}

fn decompress(frame: &[u8]) -> Vec<u8> {
    let size = pgark::archive::frame::declared_size(frame).unwrap();
    pgark::archive::frame::decompress_whole(frame, size).unwrap()
}

fn each(value: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    visit(value);
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| each(value, visit)),
        Value::Object(fields) => fields.values_mut().for_each(|value| each(value, visit)),
        _ => {}
    }
}

/// The first table that has rows.
fn with_rows(tables: &mut Value) -> &mut Value {
    tables.as_array_mut().unwrap().iter_mut().find(|table| table["rows"] != 0).unwrap()
}

/// The place of the first statement of the schema.
fn first_statement(manifest: &mut Value) -> &mut Value {
    let objects = manifest["objects"].as_array_mut().unwrap();
    let object = objects.iter_mut().find(|object| object["statements"] != json!([])).unwrap();
    &mut object["statements"][0]
}

fn add(tables: &mut Value, field: &str, more: u64) {
    let table = with_rows(tables);
    table[field] = (table[field].as_u64().unwrap() + more).into();
}

fn change(tables: &mut Value, field: &str, value: Value) {
    with_rows(tables)[field] = value;
}

#[test]
fn a_field_that_the_format_does_not_have_is_refused_wherever_it_stands() {
    let original = Parts::of(small()).manifest();
    let mut objects = 0;
    each(&mut original.clone(), &mut |value| objects += usize::from(value.is_object()));
    assert!(objects > 60, "{objects}");
    for number in 0..objects {
        let (mut changed, mut seen, mut shown) = (original.clone(), 0, String::new());
        each(&mut changed, &mut |value| {
            if let Value::Object(fields) = value {
                if seen == number {
                    shown = fields.keys().cloned().collect::<Vec<_>>().join(", ");
                    fields.insert(String::from("new_field"), json!(1));
                }
                seen += 1;
            }
        });
        let json = serde_json::to_vec(&changed).unwrap();
        let read = pgark::archive::manifest::Manifest::from_json(&json);
        assert!(read.is_err(), "an unknown field beside {shown} was taken");
    }
}

/// Puts bytes that are hardly a manifest where the manifest stands, and says how `pgark verify`
/// and `pgark list` end.
fn with_manifest(json: &[u8]) -> (Run, Run) {
    let repo = Repo::new();
    for folder in ["backups", "manifests"] {
        std::fs::create_dir(repo.path().join(folder)).unwrap();
    }
    let archive = repo.path().join("backups/small.tar");
    write(&archive, &Parts::of(small()).with_manifest(json).bytes());
    let verify = repo.run(&["verify", archive.to_str().unwrap()]);
    write(&repo.path().join("manifests/small.json"), json);
    (verify, repo.run(&["list"]))
}

#[test]
fn forty_bad_manifests_are_refused_with_their_exit_code() {
    let original = String::from_utf8(Parts::of(small()).content("manifest.json").clone()).unwrap();
    let edit = |edit: &dyn Fn(&mut Value)| {
        let mut manifest = Parts::of(small()).manifest();
        edit(&mut manifest);
        serde_json::to_vec(&manifest).unwrap()
    };
    let text = |from: &str, to: &str| {
        assert!(original.contains(from), "{from}");
        original.replacen(from, to, 1).into_bytes()
    };
    let deep = format!("{{\"format\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let mut utf16 = vec![0xff, 0xfe];
    utf16.extend(original.encode_utf16().flat_map(u16::to_le_bytes));
    let damaged: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("null", b"null".to_vec()),
        ("a list", b"[]".to_vec()),
        ("an empty object", b"{}".to_vec()),
        ("a number", b"17".to_vec()),
        ("NaN", b"NaN".to_vec()),
        ("cut in half", original.as_bytes()[..original.len() / 2].to_vec()),
        ("bytes after it", [original.as_bytes(), b"x"].concat()),
        ("a second manifest after it", original.repeat(2).into_bytes()),
        ("a byte order mark", [b"\xef\xbb\xbf", original.as_bytes()].concat()),
        ("UTF-16", utf16),
        ("invalid UTF-8", [&b"{\"format\": \"\xff\xfe\""[..], b"}"].concat()),
        ("zeros", vec![0; 1000]),
        ("nested too deeply", deep.into_bytes()),
        ("a field twice", text("\"name\": \"small\"", "\"name\": \"small\", \"name\": \"small\"")),
        (
            "the format twice",
            text("\"format\": {", "\"format\": {\"version\": 1, \"features\": []}, \"format\": {"),
        ),
        ("a single quote", original.replace('"', "'").into_bytes()),
        ("a comment", text("{", "{ // comment\n")),
        ("a comma at the end", text("\"features\": []", "\"features\": [],")),
        ("format 0", text("\"version\": 1", "\"version\": 0")),
        ("format -1", text("\"version\": 1", "\"version\": -1")),
        ("format 1.0", text("\"version\": 1", "\"version\": 1.0")),
        ("format as text", text("\"version\": 1", "\"version\": \"1\"")),
        ("features null", edit(&|m| m["format"]["features"] = Value::Null)),
        ("no format", edit(&|m| drop(m.as_object_mut().unwrap().remove("format")))),
        ("no tables", edit(&|m| drop(m.as_object_mut().unwrap().remove("tables")))),
        ("tables null", edit(&|m| m["tables"] = Value::Null)),
        ("a table is a text", edit(&|m| m["tables"][0] = json!("people"))),
        (
            "a table twice",
            edit(&|m| {
                let table = m["tables"][0].clone();
                m["tables"].as_array_mut().unwrap().push(table);
            }),
        ),
        (
            "a member twice",
            edit(&|m| {
                let file = m["files"][0].clone();
                m["files"].as_array_mut().unwrap().push(file);
            }),
        ),
        ("rows negative", edit(&|m| change(&mut m["tables"], "rows", json!(-1)))),
        ("rows a fraction", edit(&|m| change(&mut m["tables"], "rows", json!(2.5)))),
        ("rows as text", edit(&|m| change(&mut m["tables"], "rows", json!("3")))),
        ("rows of 2^64", text("\"rows\": 3", "\"rows\": 18446744073709551616")),
        ("rows of 1e400", text("\"rows\": 3", "\"rows\": 1e400")),
        (
            "rows that overflow",
            edit(&|m| {
                each(m, &mut |v| {
                    if v.get("digest").is_some() && v.get("rows").is_some() {
                        v["rows"] = u64::MAX.into();
                    }
                });
            }),
        ),
        (
            "a digest in upper case",
            edit(&|m| change(&mut m["tables"], "digest", "A".repeat(32).into())),
        ),
        ("a short digest", edit(&|m| change(&mut m["tables"], "digest", json!("00")))),
        ("a hash in upper case", edit(&|m| m["files"][0]["sha256"] = "A".repeat(64).into())),
        ("a hash of another length", edit(&|m| m["files"][0]["sha256"] = "a".repeat(40).into())),
        ("a time that is none", edit(&|m| m["started"] = json!("yesterday"))),
        ("a class that is none", edit(&|m| m["objects"][0]["class"] = json!("spaceship"))),
        ("an object before what it needs", edit(&|m| m["objects"][0]["depends_on"] = json!([5]))),
        ("an offset below zero", edit(&|m| first_statement(m)["offset"] = json!(-1))),
        (
            "a text of a megabyte for a number",
            edit(&|m| change(&mut m["tables"], "rows", "9".repeat(1 << 20).into())),
        ),
    ];
    assert!(damaged.len() >= 40);
    for (what, json) in damaged {
        let (verify, list) = with_manifest(&json);
        assert_eq!(verify.code, 13, "{what}: {verify:?}");
        assert_eq!(list.code, 0, "{what}: {list:?}");
        assert!(list.stdout.contains("small"), "{what}: it is listed with its problem");
        for run in [verify, list] {
            assert!(!run.stderr.contains("panicked"), "{what}: {}", run.stderr);
        }
    }
    let newer: Vec<(&str, Vec<u8>)> = vec![
        ("format 2", text("\"version\": 1", "\"version\": 2")),
        (
            "format 2 with what we cannot know",
            b"{\"format\": {\"version\": 2, \"features\": [{}], \"x\": 1}}".to_vec(),
        ),
        ("format of 2^63", text("\"version\": 1", "\"version\": 9223372036854775808")),
        ("an unknown feature", text("\"features\": []", "\"features\": [\"encryption\"]")),
    ];
    for (what, json) in newer {
        let (verify, _) = with_manifest(&json);
        assert_eq!(verify.code, 15, "{what}: {verify:?}");
        assert!(verify.stderr.contains("a newer one"), "{what}: {}", verify.stderr);
    }
}

#[test]
fn the_manifest_beside_the_archive_and_the_chain_to_the_one_before_are_checked() {
    let (repo, database) = (Repo::new(), crate::harness::archive::small_database());
    repo.backup(&database, &["--name", "a"]);
    std::thread::sleep(std::time::Duration::from_millis(5));
    repo.backup(&database, &["--name", "b"]);
    repo.ok(&["verify", "a", "b"]);
    let manifest = repo.path().join("manifests/a.json");
    let json = std::fs::read_to_string(&manifest).unwrap();
    write(&manifest, json.replacen("\"rows\": 3", "\"rows\": 4", 2).as_bytes());
    let run = repo.run(&["verify", "a", "b"]).expect_code(13);
    assert!(run.stdout.contains("it differs from the manifest in manifests/"), "{}", run.stdout);
    assert!(run.stdout.contains("not the manifest that this archive followed"), "{}", run.stdout);
    std::fs::remove_file(repo.path().join("backups/a.tar")).unwrap();
    let run = repo.run(&["verify", "a", "b"]).expect_code(13);
    assert!(run.stdout.contains("its file is gone"), "{}", run.stdout);
    assert!(run.stdout.contains("not the manifest that this archive followed"), "all are verified");
}

#[test]
fn verification_lists_all_damages_at_once() {
    let mut parts = Parts::of(small());
    parts.content("people/000001")[9] ^= 1;
    parts.content("README.txt")[9] ^= 1;
    parts.content("pre-data.sql").push(b'x');
    let position = parts.position("sequences.sql");
    parts.members.remove(position);
    let mut extra = parts.members[0].clone();
    extra.0.name = String::from("extra");
    parts.members.insert(0, extra);
    let found = findings(&parts.bytes());
    for place in ["people/000001", "README.txt", "pre-data.sql", "sequences.sql", "extra"] {
        assert!(
            found.iter().any(|finding| finding.contains(place)),
            "{place} is not in {found:#?}"
        );
    }
}

#[test]
fn a_damaged_archive_is_not_restored_and_the_target_stays_empty() {
    let (repo, target) = (Repo::new(), Database::empty());
    let archive = repo.path().join("damaged.tar");
    let mut bytes = small().to_vec();
    let chunk = Parts::of(small()).position("people/000001");
    let before: usize = Parts::of(small()).members[..chunk]
        .iter()
        .map(|(header, content)| {
            header.to_blocks().unwrap().len() + content.len().next_multiple_of(512)
        })
        .sum();
    bytes[before + 512 + 20] ^= 4;
    write(&archive, &bytes);
    let path = archive.to_str().unwrap();
    for more in [&[][..], &["--data-only"], &["--create"]] {
        let url = target.url();
        let run = repo.run(&[&["restore", path, "--url", &url][..], more].concat());
        run.expect_code(13).says(&["is damaged", "pgark verify"]);
        assert_eq!(
            target.one("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"),
            "0"
        );
        assert_eq!(
            target.one("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pgark%'"),
            "0"
        );
    }
    let run = repo.run(&["compare", path, "--with", &target.url()]);
    assert_ne!(run.code, 0, "nobody is told that a damaged archive is equal");
}

#[test]
fn a_decompression_bomb_is_stopped_at_the_size_that_was_declared() {
    let bomb = frame::compress(&vec![b'\n'; 64 << 20], 19).unwrap();
    assert!(bomb.len() < 16 << 10, "{}", bomb.len());
    // The manifest says what it said: 3 rows.
    let found = findings(&Parts::of(small()).replaced("people/000001", &bomb).bytes());
    assert!(found.iter().any(|finding| finding.contains("declares 67108864 bytes")), "{found:?}");
    // The frame declares what the manifest says, and holds more.
    let mut rows = RowDigester::default();
    rows.update(b"\n\n\n");
    let content = rows.finish().unwrap();
    let mut lying = bomb;
    assert_eq!(lying[4] >> 6, 2, "four bytes of content size");
    let field = if lying[4] & 0x20 == 0 { 6 } else { 5 };
    let declared = u32::try_from(content.bytes).unwrap();
    lying[field..field + 4].copy_from_slice(&declared.to_le_bytes());
    let parts = Parts::of(small()).replaced("people/000001", &lying).edited(|manifest| {
        each(manifest, &mut |value| {
            let is_table = value["name"] == "people" && value.get("chunks").is_some();
            if is_table {
                for place in [&["chunks"][..], &[]] {
                    let entry =
                        if place.is_empty() { &mut *value } else { &mut value["chunks"][0] };
                    entry["rows"] = content.rows.into();
                    entry["bytes"] = content.bytes.into();
                    entry["digest"] = content.digest.to_string().into();
                }
            }
        });
    });
    let found = findings(&parts.bytes());
    assert!(found.iter().any(|f| f.contains("people/000001") && f.contains("zstd")), "{found:?}");
}

/// A header of any kind, with a right checksum.
fn header(name: &[u8], kind: u8, size: u64, link: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
    header.as_mut_bytes()[156] = kind;
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn a_hostile_tar_is_refused_and_nothing_is_unpacked() {
    let long = |kind: u8, name: &[u8]| {
        let mut blocks = header(b"././@LongLink", kind, name.len() as u64, b"");
        blocks.extend(name);
        blocks.resize(blocks.len().next_multiple_of(512), 0);
        blocks
    };
    let mut bad_sum = header(b"x", b'0', 0, b"");
    bad_sum[150] ^= 1;
    let mut huge = header(b"x", b'0', 0, b"");
    huge[124..136]
        .copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("a way up", header(b"../x", b'0', 0, b"")),
        ("a way up inside", header(b"a/../../x", b'0', 0, b"")),
        ("an absolute name", header(b"/tmp/x", b'0', 0, b"")),
        ("an empty name", header(b"", b'0', 0, b"")),
        ("a newline", header(b"a\nb", b'0', 0, b"")),
        ("an escape", header(b"a\x1b[2Jb", b'0', 0, b"")),
        ("no UTF-8", header(b"a\xffb", b'0', 0, b"")),
        ("a hard link", header(b"x", b'1', 0, b"/etc/passwd")),
        ("a symbolic link", header(b"x", b'2', 0, b"/etc")),
        ("a device", header(b"x", b'3', 0, b"")),
        ("a block device", header(b"x", b'4', 0, b"")),
        ("a folder", header(b"x/", b'5', 0, b"")),
        ("a pipe", header(b"x", b'6', 0, b"")),
        ("a sparse file", header(b"x", b'S', 0, b"")),
        (
            "a PAX header",
            [header(b"x", b'x', 12, b""), {
                let mut block = b"12 path=../x\n".to_vec();
                block.resize(512, 0);
                block
            }]
            .concat(),
        ),
        ("a PAX global header", header(b"x", b'g', 0, b"")),
        ("a long link", long(b'K', &b"x".repeat(200))),
        ("a long name that is short", [long(b'L', b"x\0"), header(b"x", b'0', 0, b"")].concat()),
        (
            "a long name upwards",
            [long(b'L', &[&b"../".repeat(60)[..], b"x\0"].concat()), header(b"x", b'0', 0, b"")]
                .concat(),
        ),
        (
            "a long name of a long name",
            [
                long(b'L', &b"x".repeat(200)),
                long(b'L', &b"y".repeat(200)),
                header(b"x", b'0', 0, b""),
            ]
            .concat(),
        ),
        ("a name of 10 MB", long(b'L', &b"x".repeat(10 << 20))),
        ("a long name at the end", long(b'L', &b"x".repeat(200))),
        ("a wrong checksum", bad_sum),
        ("a size beyond the world", huge),
        ("a size beyond the file", header(b"x", b'0', 1 << 32, b"")),
    ];
    let (repo, target) = (Repo::new(), Database::empty());
    for (what, blocks) in hostile {
        let bytes = [&blocks, small()].concat();
        let found = findings(&bytes);
        assert!(!found.is_empty(), "{what}");
        assert!(
            found.iter().all(|finding| !finding.contains(['\n', '\u{1b}'])),
            "{what}: {found:?}"
        );
        let archive = repo.path().join("hostile.tar");
        write(&archive, &bytes);
        let run = repo.run(&["restore", archive.to_str().unwrap(), "--url", &target.url()]);
        assert_eq!(run.code, 13, "{what}: {run:?}");
    }
    let left: Vec<_> =
        std::fs::read_dir(repo.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["hostile.tar"], "nothing was unpacked");
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("empty", &b""[..]), ("text", b"not a tar"), ("zeros", &[0; 4096])] {
        let path = folder.path().join(name);
        write(&path, bytes);
        let output = pgark().args(["verify", path.to_str().unwrap()]).output().unwrap();
        Run::from(output).expect_code(13);
        assert!(check(bytes).is_ok_and(|report| !report.findings.is_empty()), "{name}");
    }
}
