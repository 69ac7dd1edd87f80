//! Schemas that are made at random, by statements that the server accepts, come back as `pg_dump`
//! describes them. A few hundred by default; more, and others, on request:
//!
//!     PGARK_GENERATED_CASES=5000 PGARK_GENERATED_SEED=7 cargo test --test it generated::

mod actions;
mod numbers;

use crate::schema_roundtrip::{Scratch, dump, open, read, remember, replay, states, unseen};
use actions::Schema;
use numbers::{Action, Numbers};
use pgark::model::schema::ObjectClass;
use pgark::pg::session::Purpose;
use pgark::rules::order::restore_order;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// So many share a pair of databases: a pair takes longer to make than most schemas.
const TOGETHER: usize = 25;

/// What stands between the entries of a dump.
const ENTRIES: &str = "\n\n\n";

/// Drops each index that its table's owner has come to lack a privilege for, in the source too: nobody can
/// make it again.
const DROP_UNCOMPUTABLE: &str = "DO $$DECLARE one regclass; BEGIN
    FOR one IN SELECT i.indexrelid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
      WHERE c.relkind = 'i' AND c.oid >= 16384 AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) LOOP
      CONTINUE WHEN NOT EXISTS (SELECT FROM pg_class WHERE oid = one);
      BEGIN EXECUTE format('REINDEX INDEX %s', one);
      EXCEPTION WHEN insufficient_privilege THEN
        -- Of a constraint, it may be computed once the others of the table are gone.
        BEGIN EXECUTE format('DROP INDEX %s', coalesce(pg_partition_root(one), one));
        EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END;
      END;
    END LOOP; END$$";

/// One schema: by what seed it was made, and of what.
#[derive(Clone)]
struct Case {
    seed: u64,
    actions: Vec<Action>,
}

impl Case {
    fn of(seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let count = 30 + numbers.next() % 60;
        let actions = (0..count).map(|_| Action::random(&mut numbers)).collect();
        Self { seed, actions }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

#[test]
fn random_schemas_come_back_as_pg_dump_describes_them() {
    let mut session = open("postgres", Purpose::Write);
    for role in ["pgark_gen_a", "\"pgark gen b\""] {
        let sql = format!(
            "DO $$BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END$$"
        );
        session.execute(&sql).unwrap();
    }
    let (seed, count) = (setting("PGARK_GENERATED_SEED", 1), setting("PGARK_GENERATED_CASES", 200));
    let cases: Vec<Case> = (0..count).map(|number| Case::of(seed + number)).collect();
    // Half at a time: the server works for one while the other compares.
    let (one, other) = cases.split_at(cases.len() / 2);
    let accepted = std::thread::scope(|scope| {
        let one = scope.spawn(|| all_come_back(one));
        let accepted = all_come_back(other);
        accepted + one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    // The generator is worth nothing if the server refuses most of what it makes. One schema may be small.
    assert!(
        count < 10 || accepted as u64 > count * 15,
        "only {accepted} statements in {count} schemas"
    );
}

/// Gives how many statements the server accepted.
fn all_come_back(cases: &[Case]) -> usize {
    let mut accepted = 0;
    for together in cases.chunks(TOGETHER) {
        match check(together) {
            Ok(statements) => accepted += statements.len(),
            Err((_, why)) => explain(together, &why),
        }
    }
    accepted
}

/// Fails with the smallest schema that does not come back.
fn explain(together: &[Case], why: &str) -> ! {
    let alone = together.iter().find(|case| check(std::slice::from_ref(case)).is_err());
    let Some(case) = alone else {
        let seed = together[0].seed;
        panic!(
            "the schemas of seeds {seed} to {} do not come back together: {why}",
            together.last().unwrap().seed
        );
    };
    let mut small = case.clone();
    let mut step = small.actions.len() / 2;
    while step > 0 {
        let mut start = 0;
        while start < small.actions.len() {
            let mut fewer = small.clone();
            let end = (start + step).min(fewer.actions.len());
            fewer.actions.drain(start..end);
            if check(std::slice::from_ref(&fewer)).is_err() {
                small = fewer;
            } else {
                start += step;
            }
        }
        step /= 2;
    }
    let (statements, why) = match check(&[small]) {
        Ok(statements) => (statements, String::from("this time it came back")),
        Err((statements, why)) => (statements, why),
    };
    panic!(
        "PGARK_GENERATED_SEED={} PGARK_GENERATED_CASES=1 runs it again:\n{}\n\n{why}",
        case.seed,
        statements.join(";\n")
    );
}

/// Makes the schemas in one database, and again in another: gives the statements that the server
/// accepted, and what differs.
fn check(cases: &[Case]) -> Result<Vec<String>, (Vec<String>, String)> {
    let source = Scratch::new(&format!("generated_source_{}", cases[0].seed));
    let mut statements = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        statements.extend(make(&source, number, case));
    }
    open(&source.0, Purpose::Write).client.batch_execute(DROP_UNCOMPUTABLE).unwrap();
    let compared = catch_unwind(AssertUnwindSafe(|| compare(&source)));
    match compared {
        Ok(Ok(())) => Ok(statements),
        Ok(Err(why)) => Err((statements, why)),
        Err(panic) => {
            let why = panic.downcast_ref::<String>().cloned();
            Err((statements, why.unwrap_or_else(|| String::from("it panicked"))))
        }
    }
}

fn make(source: &Scratch, number: usize, case: &Case) -> Vec<String> {
    let mut session = open(&source.0, Purpose::Write);
    let mut schema = Schema::new(number, session.facts.major());
    session.execute("RESET ALL").unwrap();
    session.execute("SET client_min_messages = error").unwrap();
    let mut accepted = vec![schema.schemas()];
    session.client.batch_execute(&accepted[0]).unwrap();
    for action in &case.actions {
        let Some((sql, made)) = schema.statement(action) else { continue };
        // Several statements in one message are one transaction.
        let made_it = session.client.batch_execute(&sql).is_ok();
        assert!(!session.client.is_closed(), "the server broke off at {sql}");
        if made_it {
            schema.keep(made);
            accepted.push(sql);
        }
    }
    accepted
}

fn compare(source: &Scratch) -> Result<(), String> {
    let (schema, major) = read(source);
    let unknown = schema.not_carried.iter().filter(|left| left.class == ObjectClass::Unknown);
    if let Some(unknown) = unknown.clone().next() {
        return Err(format!("not carried: {unknown:?}"));
    }
    let objects = restore_order(schema.objects.clone()).map_err(|error| error.to_string())?;
    let copy = Scratch::new(&source.0.replace("source", "copy"));
    replay(&copy, &objects, major);
    remember(source);
    let dumps = (without_column_order(&dump(source)), without_column_order(&dump(&copy)));
    same("pg_dump", ENTRIES, &dumps.0, &dumps.1)?;
    same("beside pg_dump", "\n", &unseen(source).join("\n"), &unseen(&copy).join("\n"))?;
    let states = |of: &Scratch| without_positions(states(of)).join("\n");
    same("states", "\n", &states(source), &states(&copy))
}

/// The columns of children come in another order (dump-correctness P3).
fn without_positions(states: Vec<String>) -> Vec<String> {
    let bare = |state: String| state.split(" position ").next().map(str::to_owned);
    states.into_iter().filter_map(bare).collect()
}

/// The columns of children come in another order (dump-correctness P3), there, in publications and in statistics.
fn without_column_order(text: &str) -> String {
    let text = text.replace(" (k, id) WHERE ", " (id, k) WHERE ");
    let text = text.replace(" ON k, id FROM ", " ON id, k FROM ");
    let mut sorted = Vec::new();
    let mut body: Option<Vec<&str>> = None;
    // These stand before the first table, wherever that is.
    for line in text.lines().filter(|line| !line.starts_with("SET default_t")) {
        match &mut body {
            Some(lines) if line.starts_with(')') => {
                lines.sort_unstable();
                sorted.append(lines);
                sorted.push(line);
                body = None;
            }
            Some(lines) => lines.push(line.trim_end_matches(',')),
            None => {
                sorted.push(line);
                body = (line.starts_with("CREATE ") && line.ends_with(" (")).then(Vec::new);
            }
        }
    }
    // pg_dump puts defaults and statistics targets in the order of columns, and one blank line behind owners.
    let of_column =
        |line: &str| line.starts_with("ALTER TABLE ONLY ") && line.contains(" ALTER COLUMN ");
    for lines in sorted.chunk_by_mut(|one, other| of_column(one) && of_column(other)) {
        lines.sort_unstable();
    }
    let text = sorted.join("\n").replace("\n\n--\n", &format!("{ENTRIES}--\n"));
    let mut entries = with_whole_views(text.split(ENTRIES).map(str::trim).collect());
    entries.sort_unstable();
    entries.join(ENTRIES)
}

/// Which view of a circle `pg_dump` makes empty at first, and replaces later, hangs on their OIDs.
fn with_whole_views(entries: Vec<&str>) -> Vec<String> {
    const LATER: &str = " _RETURN; Type: RULE; ";
    const WHOLE: &str = "; Type: VIEW; ";
    let header = |entry: &str| entry.lines().nth(1).unwrap_or_default().replace(LATER, WHOLE);
    let later: Vec<String> =
        entries.iter().filter(|entry| entry.contains(LATER)).map(|entry| header(entry)).collect();
    let is_empty = |entry: &&str| !entry.contains(LATER) && later.contains(&header(entry));
    let whole = |entry: &str| match entry.contains(LATER) {
        true => entry.replace(LATER, WHOLE).replacen("CREATE OR REPLACE", "CREATE", 1),
        false => entry.to_owned(),
    };
    entries.into_iter().filter(|entry| !is_empty(entry)).map(whole).collect()
}

/// Fails with the parts that only one of the two has.
fn same(what: &str, between: &str, source: &str, copy: &str) -> Result<(), String> {
    if source == copy {
        return Ok(());
    }
    let (source, copy): (Vec<&str>, Vec<&str>) =
        (source.split(between).collect(), copy.split(between).collect());
    let alone = |these: &[&str], others: &[&str]| -> String {
        let alone = these.iter().filter(|part| !others.contains(part)).take(5).copied();
        alone.collect::<Vec<_>>().join("\n")
    };
    Err(format!(
        "{what}\n--- source\n{}\n--- copy\n{}",
        alone(&source, &copy),
        alone(&copy, &source)
    ))
}
