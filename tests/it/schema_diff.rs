//! Two schemas are compared: each change is found and named, and nothing else is.

use crate::harness::{Database, Repo, role, server_of};
use pgark::model::connection::Connection;
use pgark::ops::described;
use pgark::ops::interrupt::Interrupt;
use pgark::pg::ddl;
use pgark::pg::session::{Purpose, Session};
use pgark::rules::schema_diff::{Aspect, Change, Comparison, Difference, Schema, Side, compare};
use std::collections::BTreeSet;
use std::time::Duration;

const FIXTURE: &str = include_str!("../fixtures/schema/compared.sql");

fn connection(database: &Database) -> Connection {
    Connection { string: database.url(), ..Connection::default() }
}

fn read(database: &Database) -> Schema {
    described::database(&connection(database), None, Duration::from_secs(60), &Interrupt::default())
        .unwrap()
}

fn all(left: &Schema, right: &Schema) -> Comparison {
    compare(left.clone(), right.clone(), &BTreeSet::new())
}

/// A difference in a few words: `~ table app.t column a: type [aspect] {also …} (renamed)`.
fn short(difference: &Difference) -> String {
    let column = difference.column.as_ref().map(|name| format!(" column {name}"));
    let place = format!("{}{}", difference.object, column.unwrap_or_default());
    let mut text = match &difference.change {
        Change::Only { side: Side::Left, .. } => format!("- {place}"),
        Change::Only { side: Side::Right, .. } => format!("+ {place}"),
        Change::Property { property, .. } => format!("~ {place}: {property}"),
        Change::Order { .. } => format!("~ {place}: order"),
    };
    if difference.aspect != Aspect::Definition {
        text.push_str(&format!(" [{}]", difference.aspect));
    }
    if let Change::Only { parts, .. } = &difference.change
        && !parts.is_empty()
    {
        let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
        text.push_str(&format!(" with {}", parts.join(", ")));
    }
    if !difference.also.is_empty() {
        let also: Vec<String> = difference.also.iter().map(ToString::to_string).collect();
        text.push_str(&format!(" also {}", also.join(", ")));
    }
    if let Some(name) = &difference.perhaps_renamed {
        text.push_str(&format!(" (renamed {name})"));
    }
    text
}

fn shorts(comparison: &Comparison) -> Vec<String> {
    comparison.differences.iter().map(short).collect()
}

/// Reads, changes, reads again and takes the change back, in one session.
struct Bench {
    database: Database,
    session: Session,
    base: Schema,
    wrong: Vec<String>,
}

impl Bench {
    fn new(sql: &str) -> Self {
        let database = Database::with(sql);
        let base = read(&database);
        let session = Session::open(&connection(&database), None, Purpose::Catalog).unwrap();
        Self { database, session, base, wrong: Vec::new() }
    }

    #[track_caller]
    fn after(&mut self, change: &str) -> Comparison {
        self.session.execute("BEGIN").unwrap();
        if let Err(error) = self.session.client.batch_execute(change) {
            panic!("{error:?}\n{change}");
        }
        let read = ddl::read(&mut self.session.client, &self.session.facts).unwrap();
        self.session.execute("ROLLBACK").unwrap();
        let changed =
            Schema { objects: read.objects, not_carried: read.not_carried, ..self.base.clone() };
        let comparison = all(&self.base, &changed);
        // The other way round the same is found, with the sides changed.
        let back = all(&changed, &self.base);
        assert_eq!(back.differences.len(), comparison.differences.len(), "{change}");
        comparison
    }

    /// Compares what a change makes with what it should make; [`Self::done`] fails with all that
    /// was not so.
    fn finds(&mut self, change: &str, expected: &[&str]) {
        let found = shorts(&self.after(change));
        if found != expected {
            self.wrong.push(format!("{change}\n  found    {found:#?}\n  expected {expected:#?}"));
        }
    }

    #[track_caller]
    fn done(self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}

#[test]
fn columns() {
    let mut bench = Bench::new(FIXTURE);
    let major = bench.base.major;
    let table = "~ table app.accounts";
    let column = |name: &str, what: &str| format!("{table} column {name}: {what}");
    let mut finds = |change: &str, expected: &[String]| {
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        bench.finds(&format!("ALTER TABLE app.accounts {change}"), &expected);
    };
    finds("ADD COLUMN extra text", &["+ table app.accounts column extra".into()]);
    finds("DROP COLUMN mood", &["- table app.accounts column mood".into()]);
    finds("ALTER mood TYPE text", &[column("mood", "type")]);
    finds("ALTER note SET NOT NULL", &not_null("note", major));
    finds("ALTER name DROP NOT NULL", &not_null("name", major));
    finds("ALTER balance SET DEFAULT 1", &[column("balance", "default")]);
    finds("ALTER balance DROP DEFAULT", &[column("balance", "default")]);
    finds("ALTER note SET DEFAULT app.area(2)::text", &[column("note", "default")]);
    finds("ALTER note SET STORAGE PLAIN", &[column("note", "storage [storage]")]);
    finds("ALTER note SET STATISTICS 7", &[column("note", "statistics [statistics]")]);
    finds("ALTER note SET (n_distinct = 5)", &[column("note", "options [statistics]")]);
    finds("ALTER note TYPE text COLLATE \"C\"", &[column("note", "collation")]);
    finds("ALTER twice DROP EXPRESSION", &[column("twice", "generated")]);
    finds(
        "ADD generated integer GENERATED ALWAYS AS (1) STORED",
        &["+ table app.accounts column generated".into()],
    );
    finds(
        "RENAME note TO remark",
        &[
            "- table app.accounts column note (renamed remark)".into(),
            "+ table app.accounts column remark (renamed note)".into(),
            "~ index accounts_lower on app.accounts: definition".into(),
            "~ index accounts_note on app.accounts: definition".into(),
        ],
    );
    if major >= 14 {
        finds("ALTER note SET COMPRESSION pglz", &[column("note", "compression [storage]")]);
    }
    bench.finds(
        "COMMENT ON COLUMN app.accounts.note IS 'else'",
        &["~ table app.accounts column note: comment [comments]"],
    );
    bench.finds(
        "COMMENT ON COLUMN app.accounts.name IS 'new'",
        &["~ table app.accounts column name: comment [comments]"],
    );
    bench.finds(
        "ALTER TABLE app.owners ALTER id SET GENERATED BY DEFAULT",
        &["~ table app.owners column id: identity"],
    );
    bench.finds(
        "ALTER TABLE app.owners ALTER id DROP IDENTITY",
        &["~ table app.owners column id: identity", "- sequence app.owners_id_seq"],
    );
    bench.finds(
        "ALTER TABLE app.owners ALTER id SET CACHE 7",
        &["~ sequence app.owners_id_seq: cache"],
    );
    // Dropped and made again, a column stands last: that is a finding of its own, and a weak one.
    bench.finds(
        "ALTER TABLE app.accounts DROP mood; ALTER TABLE app.accounts ADD mood app.mood",
        &["~ table app.accounts: order [column-order]"],
    );
    bench.done();
}

/// From 18 on a NOT NULL has a name, which comes and goes with it.
fn not_null(column: &str, major: u32) -> Vec<String> {
    let place = format!("~ table app.accounts column {column}:");
    let mut found = vec![format!("{place} not-null")];
    if major >= 18 {
        found.push(format!("{place} not-null-name [not-null-names]"));
    }
    found
}

#[test]
fn tables_and_their_parts() {
    let mut bench = Bench::new(FIXTURE);
    for (change, expected) in [
        (
            "CREATE TABLE app.new (a serial PRIMARY KEY, b int CHECK (b > 0)); CREATE INDEX i ON app.new (b)",
            vec![
                "+ table app.new with sequence app.new_a_seq, check new_b_check on app.new, index i on app.new, primary-key new_pkey on app.new",
            ],
        ),
        (
            "DROP TABLE app.accounts CASCADE",
            vec![
                "- table app.accounts with sequence app.accounts_id_seq, check sane on app.accounts, index accounts_lower on app.accounts, index accounts_note on app.accounts, primary-key accounts_pkey on app.accounts, unique accounts_name_key on app.accounts, trigger touch on app.accounts, foreign-key accounts_owner_fkey on app.accounts",
                "- view app.named",
                "- materialized-view app.sums",
            ],
        ),
        (
            "ALTER TABLE app.owners RENAME TO people",
            vec![
                "~ foreign-key accounts_owner_fkey on app.accounts: definition",
                "- table app.owners with primary-key owners_pkey on app.owners (renamed people)",
                "~ sequence app.owners_id_seq: owned-by",
                "+ table app.people with primary-key owners_pkey on app.people (renamed owners)",
            ],
        ),
        (
            "ALTER TABLE app.accounts SET (fillfactor = 70)",
            vec!["~ table app.accounts: options [storage]"],
        ),
        (
            "ALTER TABLE app.accounts SET (toast.autovacuum_enabled = off)",
            vec!["~ table app.accounts: options [storage]"],
        ),
        (
            "ALTER TABLE app.accounts REPLICA IDENTITY FULL",
            vec!["~ table app.accounts: replica-identity [replication]"],
        ),
        (
            "ALTER TABLE app.accounts REPLICA IDENTITY USING INDEX accounts_name_key",
            vec!["~ table app.accounts: replica-identity [replication]"],
        ),
        (
            "ALTER TABLE app.accounts CLUSTER ON accounts_note",
            vec!["~ index accounts_note on app.accounts: clustered [storage]"],
        ),
        ("COMMENT ON TABLE app.accounts IS NULL", vec!["~ table app.accounts: comment [comments]"]),
        (
            "ALTER TABLE app.accounts ADD CHECK (note <> 'x')",
            vec!["+ check accounts_note_check on app.accounts"],
        ),
        (
            "ALTER TABLE app.accounts ADD CHECK (note <> 'x') NOT VALID",
            vec!["+ check accounts_note_check on app.accounts"],
        ),
        (
            "ALTER TABLE app.accounts DROP CONSTRAINT sane, ADD CONSTRAINT sane CHECK (balance > -1000) NOT VALID",
            vec!["~ check sane on app.accounts: validated"],
        ),
        (
            "ALTER TABLE app.accounts DROP CONSTRAINT sane, ADD CONSTRAINT sane CHECK (balance > -1000) NO INHERIT",
            vec!["~ check sane on app.accounts: no-inherit"],
        ),
        (
            "ALTER TABLE app.accounts DROP CONSTRAINT sane, ADD CONSTRAINT sane CHECK (balance > -1001)",
            vec!["~ check sane on app.accounts: definition"],
        ),
        (
            "ALTER TABLE app.accounts RENAME CONSTRAINT sane TO sound",
            vec![
                "- check sane on app.accounts (renamed sound)",
                "+ check sound on app.accounts (renamed sane)",
            ],
        ),
        (
            "COMMENT ON CONSTRAINT sane ON app.accounts IS 'sane'",
            vec!["~ check sane on app.accounts: comment [comments]"],
        ),
        (
            "ALTER TABLE app.accounts ALTER CONSTRAINT accounts_owner_fkey DEFERRABLE INITIALLY DEFERRED",
            vec!["~ foreign-key accounts_owner_fkey on app.accounts: deferrable"],
        ),
        (
            "ALTER TABLE app.accounts DROP CONSTRAINT accounts_owner_fkey, ADD CONSTRAINT accounts_owner_fkey FOREIGN KEY (owner) REFERENCES app.owners (id) ON DELETE SET NULL NOT VALID",
            vec![
                "~ foreign-key accounts_owner_fkey on app.accounts: definition",
                "~ foreign-key accounts_owner_fkey on app.accounts: validated",
            ],
        ),
        (
            "ALTER TABLE app.accounts DROP CONSTRAINT accounts_name_key",
            vec!["- unique accounts_name_key on app.accounts"],
        ),
        (
            "ALTER TABLE app.accounts DROP CONSTRAINT accounts_name_key, ADD CONSTRAINT accounts_name_key UNIQUE (name, note)",
            vec!["~ unique accounts_name_key on app.accounts: definition"],
        ),
        (
            "CREATE INDEX more ON app.accounts (note) WHERE note <> ''",
            vec!["+ index more on app.accounts"],
        ),
        (
            "ALTER INDEX app.accounts_note RENAME TO notes",
            vec![
                "- index accounts_note on app.accounts (renamed notes)",
                "+ index notes on app.accounts (renamed accounts_note)",
            ],
        ),
        (
            "DROP INDEX app.accounts_note; CREATE UNIQUE INDEX accounts_note ON app.accounts (note)",
            vec!["~ index accounts_note on app.accounts: unique"],
        ),
        (
            "DROP INDEX app.accounts_lower; CREATE INDEX accounts_lower ON app.accounts (lower(name))",
            vec!["~ index accounts_lower on app.accounts: definition"],
        ),
        (
            "ALTER INDEX app.accounts_lower ALTER COLUMN 1 SET STATISTICS 9",
            vec!["~ index accounts_lower on app.accounts: statistics [statistics]"],
        ),
        (
            "COMMENT ON INDEX app.accounts_note IS 'n'",
            vec!["~ index accounts_note on app.accounts: comment [comments]"],
        ),
        (
            "COMMENT ON INDEX app.accounts_pkey IS 'n'",
            vec!["~ primary-key accounts_pkey on app.accounts: other-comments [comments]"],
        ),
        ("DROP TRIGGER touch ON app.accounts", vec!["- trigger touch on app.accounts"]),
        (
            "ALTER TABLE app.accounts DISABLE TRIGGER touch",
            vec!["~ trigger touch on app.accounts: enabled"],
        ),
        (
            "DROP TRIGGER touch ON app.accounts; CREATE TRIGGER touch BEFORE UPDATE OF note ON app.accounts FOR EACH ROW EXECUTE FUNCTION app.touch()",
            vec!["~ trigger touch on app.accounts: definition"],
        ),
        (
            "ALTER TRIGGER touch ON app.accounts RENAME TO touched",
            vec![
                "- trigger touch on app.accounts (renamed touched)",
                "+ trigger touched on app.accounts (renamed touch)",
            ],
        ),
        (
            "ALTER SEQUENCE app.accounts_id_seq OWNED BY NONE",
            vec!["~ sequence app.accounts_id_seq: owned-by"],
        ),
        ("CREATE TABLE app.of OF app.pair", vec!["+ table app.of"]),
    ] {
        bench.finds(change, &expected);
    }
    bench.done();
}

#[test]
fn other_objects() {
    let mut bench = Bench::new(FIXTURE);
    let body = "~ function app.area(integer, integer): ";
    let area = |what: &str| format!("{body}{what}");
    for (change, what) in [
        ("IMMUTABLE AS 'SELECT width * height + 0'", "body"),
        ("STABLE AS 'SELECT width * height'", "volatility"),
        ("IMMUTABLE STRICT AS 'SELECT width * height'", "strict"),
        ("IMMUTABLE SECURITY DEFINER AS 'SELECT width * height'", "security-definer"),
        ("IMMUTABLE LEAKPROOF AS 'SELECT width * height'", "leakproof"),
        ("IMMUTABLE PARALLEL SAFE AS 'SELECT width * height'", "parallel"),
        ("IMMUTABLE COST 7 AS 'SELECT width * height'", "cost"),
        ("IMMUTABLE SET search_path = app AS 'SELECT width * height'", "settings"),
    ] {
        let sql = format!(
            "CREATE OR REPLACE FUNCTION app.area(width integer, height integer DEFAULT 1)
             RETURNS integer LANGUAGE sql {change}"
        );
        bench.finds(&sql, &[&area(what)]);
    }
    bench.finds(
        "CREATE OR REPLACE FUNCTION app.area(width integer, height integer DEFAULT 2)
         RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT width * height'",
        &[&area("arguments")],
    );
    for (change, expected) in [
        (
            "CREATE FUNCTION app.area(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            vec!["+ function app.area(integer)"],
        ),
        ("DROP PROCEDURE app.nothing", vec!["- procedure app.nothing(INOUT integer)"]),
        (
            "COMMENT ON FUNCTION app.touch() IS 'touches'",
            vec!["~ function app.touch(): comment [comments]"],
        ),
        (
            "CREATE OR REPLACE VIEW app.named AS SELECT id, name FROM app.accounts WHERE id > 0",
            vec!["~ view app.named: query"],
        ),
        (
            "CREATE OR REPLACE VIEW app.named AS SELECT id, name, note FROM app.accounts",
            vec!["~ view app.named: query", "+ view app.named column note"],
        ),
        ("ALTER VIEW app.named SET (security_barrier = true)", vec!["~ view app.named: options"]),
        ("ALTER VIEW app.named SET (check_option = local)", vec!["~ view app.named: check-option"]),
        (
            "ALTER VIEW app.named ALTER name SET DEFAULT 'x'",
            vec!["~ view app.named column name: default"],
        ),
        (
            "ALTER VIEW app.named RENAME TO labelled",
            vec!["+ view app.labelled (renamed named)", "- view app.named (renamed labelled)"],
        ),
        (
            "REFRESH MATERIALIZED VIEW app.sums WITH NO DATA",
            vec!["~ materialized-view app.sums: populated [populated]"],
        ),
        ("CREATE UNIQUE INDEX one ON app.sums (owner)", vec!["+ index one on app.sums"]),
        ("ALTER TYPE app.mood ADD VALUE 'so' BEFORE 'ok'", vec!["~ enum app.mood: labels"]),
        ("ALTER TYPE app.mood RENAME VALUE 'ok' TO 'fine'", vec!["~ enum app.mood: labels"]),
        ("ALTER TYPE app.pair ADD ATTRIBUTE z date", vec!["+ composite-type app.pair column z"]),
        (
            "ALTER TYPE app.pair ALTER ATTRIBUTE y TYPE varchar(3)",
            vec!["~ composite-type app.pair column y: type"],
        ),
        (
            "ALTER TYPE app.pair DROP ATTRIBUTE x, ADD ATTRIBUTE x integer",
            vec!["~ composite-type app.pair: order"],
        ),
        ("ALTER DOMAIN app.amount SET DEFAULT 1", vec!["~ domain app.amount: default"]),
        (
            "ALTER DOMAIN app.amount DROP CONSTRAINT positive",
            vec!["- domain-constraint positive on app.amount"],
        ),
        (
            "ALTER DOMAIN app.amount ADD CONSTRAINT small CHECK (VALUE < 9) NOT VALID",
            vec!["+ domain-constraint small on app.amount"],
        ),
        ("DROP TYPE app.period", vec!["- range-type app.period"]),
        ("ALTER SEQUENCE app.counter INCREMENT 2", vec!["~ sequence app.counter: increment"]),
        ("ALTER SEQUENCE app.counter START 6", vec!["~ sequence app.counter: start"]),
        ("ALTER SEQUENCE app.counter CYCLE", vec!["~ sequence app.counter: cycle"]),
        (
            "ALTER SEQUENCE app.counter MAXVALUE 100 CACHE 3",
            vec!["~ sequence app.counter: maximum", "~ sequence app.counter: cache"],
        ),
        (
            "ALTER SEQUENCE app.counter AS integer",
            vec!["~ sequence app.counter: type", "~ sequence app.counter: maximum"],
        ),
        ("SELECT nextval('app.counter')", vec![]),
        ("CREATE SCHEMA other", vec!["+ schema other"]),
        ("COMMENT ON SCHEMA app IS 'x'", vec!["~ schema app: comment [comments]"]),
        ("CREATE EXTENSION hstore SCHEMA app", vec!["+ extension hstore"]),
    ] {
        bench.finds(change, &expected);
    }
    let mut names = bench.after("ALTER TYPE app.mood ADD VALUE 'so' BEFORE 'ok'").differences;
    let Some(Change::Property { left, right, .. }) = names.pop().map(|one| one.change) else {
        panic!("a property");
    };
    let labels =
        |value: &str| serde_json::to_string(&value.split(' ').collect::<Vec<_>>()).unwrap();
    assert_eq!(serde_json::to_string(&left).unwrap(), labels("sad ok happy"));
    assert_eq!(serde_json::to_string(&right).unwrap(), labels("sad so ok happy"));
    bench.done();
}

#[test]
fn domains_say_what_they_forbid() {
    let mut bench = Bench::new(FIXTURE);
    let mut expected = vec!["~ domain app.amount: not-null"];
    if bench.base.major >= 17 {
        expected.push("~ domain app.amount: not-null-name [not-null-names]");
    }
    bench.finds("ALTER DOMAIN app.amount SET NOT NULL", &expected);
    bench.done();
}

#[test]
fn partitions_and_children_follow_without_a_word_of_their_own() {
    let mut bench = Bench::new(FIXTURE);
    for (change, expected) in [
        (
            "ALTER TABLE app.events ADD COLUMN more integer",
            vec!["+ table app.events column more also table app.events_1, table app.events_2"],
        ),
        (
            "ALTER TABLE app.events ALTER what TYPE varchar(9)",
            vec![
                "~ table app.events column what: type also table app.events_1, table app.events_2",
                "~ check said on app.events: definition also check said on app.events_1, check said on app.events_2",
            ],
        ),
        (
            "ALTER TABLE app.events DROP CONSTRAINT said",
            vec![
                "- check said on app.events also check said on app.events_1, check said on app.events_2",
            ],
        ),
        (
            "CREATE INDEX events_what ON app.events (what)",
            vec![
                "+ index events_what on app.events also index events_1_what_idx on app.events_1, index events_2_what_idx on app.events_2",
            ],
        ),
        (
            "DROP INDEX app.events_at",
            vec![
                "- index events_at on app.events also index events_1_at_idx on app.events_1, index events_2_at_idx on app.events_2",
            ],
        ),
        (
            "ALTER TABLE app.events ADD PRIMARY KEY (at)",
            vec![
                "+ primary-key events_pkey on app.events also primary-key events_1_pkey on app.events_1, primary-key events_2_pkey on app.events_2",
            ],
        ),
        (
            "CREATE TABLE app.events_3 PARTITION OF app.events FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')",
            vec![
                "+ table app.events_3 with check said on app.events_3, index events_3_at_idx on app.events_3",
            ],
        ),
        (
            "ALTER TABLE app.events DETACH PARTITION app.events_2",
            vec![
                "~ table app.events_2: partition-of",
                "~ check said on app.events_2: inherited",
                "~ index events_2_at_idx on app.events_2: attached-to",
            ],
        ),
        (
            "ALTER TABLE app.events_1 ALTER what SET DEFAULT 'x'",
            vec!["~ table app.events_1 column what: default"],
        ),
        (
            "ALTER TABLE app.animals ADD COLUMN legs integer",
            vec!["+ table app.animals column legs also table app.cats"],
        ),
        ("ALTER TABLE app.cats ADD COLUMN tails integer", vec!["+ table app.cats column tails"]),
        (
            "ALTER TABLE app.cats ALTER name SET DEFAULT 'Tom'",
            vec!["~ table app.cats column name: default"],
        ),
        ("ALTER TABLE app.animals DROP CONSTRAINT named", vec!["- check named on app.animals"]),
        (
            "ALTER TABLE app.cats NO INHERIT app.animals",
            vec![
                "~ table app.cats: inherits",
                "~ table app.cats column name: inherited",
                "+ check named on app.cats",
            ],
        ),
    ] {
        bench.finds(change, &expected);
    }
    bench.done();
}

#[test]
fn what_copies_of_constraints_have_of_their_own() {
    let mut bench = Bench::new(
        "CREATE TABLE others (id integer PRIMARY KEY);
         CREATE TABLE whole (id integer, k integer) PARTITION BY LIST (k);
         CREATE TABLE part PARTITION OF whole DEFAULT;
         ALTER TABLE whole ADD CONSTRAINT other FOREIGN KEY (id) REFERENCES others;
         CREATE TABLE above (id integer);
         CREATE TABLE below () INHERITS (above);
         ALTER TABLE above ADD CONSTRAINT small CHECK (id < 9) NOT VALID",
    );
    bench.finds(
        "ALTER TABLE public.part RENAME CONSTRAINT other TO own",
        &["~ foreign-key other on public.whole: names-below"],
    );
    bench.finds(
        "ALTER TABLE public.below VALIDATE CONSTRAINT small",
        &["~ check small on public.above: validated-below"],
    );
    if bench.base.major >= 18 {
        let mut bench = Bench::new(
            "CREATE TABLE others (id integer PRIMARY KEY);
             CREATE TABLE whole (id integer, k integer) PARTITION BY LIST (k);
             CREATE TABLE part PARTITION OF whole DEFAULT;
             ALTER TABLE whole ADD CONSTRAINT other FOREIGN KEY (id) REFERENCES others NOT VALID;
             ALTER TABLE whole ADD CONSTRAINT there NOT NULL k NOT VALID",
        );
        bench.finds(
            "ALTER TABLE public.part VALIDATE CONSTRAINT other",
            &["~ foreign-key other on public.whole: validated-below"],
        );
        bench.finds(
            "ALTER TABLE public.part VALIDATE CONSTRAINT there",
            &["~ table public.part column k: not-null"],
        );
        bench.done();
        let mut bench = Bench::new(
            "CREATE TABLE whole (id integer, k integer CONSTRAINT of_whole NOT NULL) PARTITION BY LIST (id);
             CREATE TABLE part PARTITION OF whole DEFAULT;
             CREATE TABLE above (k integer CONSTRAINT of_above NOT NULL, l integer);
             CREATE TABLE below () INHERITS (above);
             ALTER TABLE above ADD CONSTRAINT late NOT NULL l NOT VALID",
        );
        for (change, table, column) in [
            ("part ADD CONSTRAINT of_whole NOT NULL k", "part", "k"),
            ("below ADD CONSTRAINT of_above NOT NULL k", "below", "k"),
            ("below ADD CONSTRAINT late NOT NULL l NOT VALID", "below", "l"),
        ] {
            let expected = format!("~ table public.{table} column {column}: not-null-of-its-own");
            bench.finds(&format!("ALTER TABLE public.{change}"), &[&expected]);
        }
        bench.done();
    }
    bench.done();
}

#[test]
fn owners_privileges_and_what_may_be_ignored() {
    role("d1_one", "");
    role("d1_two", "");
    let mut bench = Bench::new(FIXTURE);
    for (change, expected) in [
        (
            "ALTER TABLE app.accounts OWNER TO d1_one",
            vec![
                "~ table app.accounts: owner [owners]",
                "~ sequence app.accounts_id_seq: owner [owners]",
            ],
        ),
        (
            "GRANT SELECT ON app.accounts TO d1_one",
            vec!["~ table app.accounts: privileges [privileges]"],
        ),
        (
            "GRANT SELECT (note) ON app.accounts TO d1_one",
            vec!["~ table app.accounts column note: privileges [privileges]"],
        ),
        ("GRANT USAGE ON SCHEMA app TO PUBLIC", vec!["~ schema app: privileges [privileges]"]),
        (
            "REVOKE EXECUTE ON FUNCTION app.touch() FROM PUBLIC",
            vec!["~ function app.touch(): privileges [privileges]"],
        ),
        (
            "GRANT CREATE ON SCHEMA public TO d1_one",
            vec!["~ schema public: privileges [privileges]"],
        ),
        ("COMMENT ON DATABASE CURRENT IS 'x'", vec!["+ database [comments]"]),
    ] {
        let change =
            change.replace("DATABASE CURRENT", &format!("DATABASE {}", bench.database.name));
        bench.finds(&change, &expected);
    }
    // Another owner with the same rights: only the owner differs.
    let one = "GRANT SELECT ON app.owners TO d1_two; ALTER TABLE app.owners OWNER TO d1_one";
    let comparison = bench.after(one);
    let privileges = comparison.differences.iter().find(|one| one.aspect == Aspect::Privileges);
    let json = serde_json::to_string(&privileges.unwrap().change).unwrap();
    assert!(json.contains("(owner): SELECT") && json.contains("d1_two: SELECT"), "{json}");
    assert!(!json.contains("d1_one"), "{json}");

    let mut changed = bench.base.clone();
    let table = changed.objects.iter_mut().find(|object| object.name == "accounts").unwrap();
    table.owner = Some(String::from("d1_two"));
    let ignore = BTreeSet::from([Aspect::Owners]);
    let comparison = compare(bench.base.clone(), changed, &ignore);
    assert_eq!(comparison.differences, []);
    assert_eq!(comparison.ignored[&Aspect::Owners], 1);
    assert!(comparison.is_equal());
    bench.done();
}

/// The order in which objects are made decides OIDs, the numbers of columns and the order of rows in
/// the catalogs, and nothing that is compared.
#[test]
fn equal_schemas_are_equal_however_they_came_about() {
    let one = Database::with(
        "CREATE TABLE b (id serial PRIMARY KEY, x int, y int);
         CREATE TABLE a (id int REFERENCES b, t text DEFAULT 'x', CHECK (id > 0), CHECK (id < 9));
         CREATE INDEX i ON a (t); CREATE INDEX j ON b (x);
         CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
         GRANT SELECT ON a TO PUBLIC; GRANT INSERT ON a TO PUBLIC;",
    );
    let other = Database::with(
        "CREATE TABLE gone (id int);
         CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE TABLE a (id int, gone int, t text);
         ALTER TABLE a DROP gone, ALTER t SET DEFAULT 'x';
         GRANT INSERT ON a TO PUBLIC; GRANT SELECT ON a TO PUBLIC;
         CREATE INDEX i ON a (t);
         ALTER TABLE a ADD CONSTRAINT a_id_check1 CHECK (id < 9), ADD CONSTRAINT a_id_check CHECK (id > 0);
         CREATE TABLE b (gone int, id serial PRIMARY KEY, x int, y int);
         ALTER TABLE b DROP gone; DROP TABLE gone;
         ALTER TABLE a ADD FOREIGN KEY (id) REFERENCES b;
         CREATE INDEX j ON b (x);",
    );
    let comparison = all(&read(&one), &read(&other));
    assert_eq!(shorts(&comparison), Vec::<String>::new());
    assert!(comparison.objects > 8 && comparison.notes.is_empty(), "{comparison:?}");
}

/// What has no property yet is compared by its statements: nothing is equal by accident.
#[test]
fn what_has_no_property_differs_all_the_same() {
    let database = Database::with(FIXTURE);
    let base = read(&database);
    let mut changed = base.clone();
    let table = changed.objects.iter_mut().find(|object| object.name == "accounts").unwrap();
    table.statements[0].sql.push_str(" /* something new */");
    assert_eq!(shorts(&all(&base, &changed)), ["~ table app.accounts: statements"]);
    // Between versions of PostgreSQL statements differ without meaning anything.
    changed.major += 1;
    assert_eq!(shorts(&all(&base, &changed)), Vec::<String>::new());
    assert_eq!(all(&base, &changed).notes.len(), 1);
}

#[test]
fn objects_that_cannot_be_compared_are_named() {
    let mut bench = Bench::new(FIXTURE);
    let collation = "CREATE OPERATOR app.=== (LEFTARG = int, RIGHTARG = text, FUNCTION = app.eq)";
    let function =
        "CREATE FUNCTION app.eq(int, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'";
    let comparison = bench.after(&format!("{function}; {collation}"));
    let named = shorts(&comparison);
    assert!(named.iter().any(|one| one.starts_with("+ operator")), "{named:?}");
}

#[test]
fn a_restored_database_equals_its_archive_and_its_source() {
    let source = Database::with(FIXTURE);
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let target = Database::empty();
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    let sides = ["latest".to_owned(), source.url(), target.url()];
    for left in &sides {
        for right in &sides {
            let run = repo.ok(&["compare", left, "--with", right, "--schema"]);
            assert!(run.stdout.starts_with("equal: the schemas of "), "{}", run.stdout);
        }
    }
    let run = repo.ok(&["compare", "latest", "--with", &target.url(), "--schema", "--rows"]);
    assert!(run.stdout.contains("equal: the schemas") && run.stdout.contains(" rows,"), "{run:?}");
    assert_eq!(shorts(&all(&read(&source), &read(&target))), Vec::<String>::new());
}

const CHANGES: &str =
    "ALTER TABLE app.accounts ALTER balance TYPE numeric(20,2), DROP mood, ADD born date NOT NULL;
    DROP INDEX app.accounts_note; CREATE TABLE app.new (id int PRIMARY KEY);
    CREATE OR REPLACE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.note := 'touched twice';
  RETURN NEW;
END
$$; COMMENT ON TABLE app.owners IS 'people'";

#[test]
fn the_text_reads_like_a_difference() {
    let source = Database::with(FIXTURE);
    let repo = Repo::new();
    repo.backup(&source, &["--name", "old"]);
    source.execute(
        "DROP VIEW app.named; DROP MATERIALIZED VIEW app.sums; ALTER TABLE app.accounts DROP twice",
    );
    source.execute(CHANGES);
    let run = repo.run(&["compare", "old", "--with", &source.url(), "--schema"]).expect_code(4);
    let (head, rest) = run.stdout.split_at(run.stdout.find("\n~ ").unwrap());
    assert!(
        head.starts_with("--- old, PostgreSQL ") && head.contains("\n+++ database \""),
        "{head}"
    );
    let expected = "
~ table app.accounts
  ~ column balance: type: numeric(38,18) -> numeric(20,2)
  + column born: date, not null
  - column mood: app.mood
  - column twice: numeric, generated ((balance * (2)::numeric)) stored
  - index accounts_note: btree (note)
- view app.named: 2 columns
+ table app.new: 1 column, with primary-key new_pkey
~ table app.owners
  + comment: people
- materialized-view app.sums: 2 columns
~ function app.touch()
  ~ body:

        BEGIN
      -   NEW.note := 'touched';
      +   NEW.note := 'touched twice';
          RETURN NEW;
        END
";
    assert_eq!(rest, expected);
    assert!(run.stderr.contains("differ: definition 9, comments 1"), "{}", run.stderr);
    let ignored =
        ["compare", "old", "--with", &source.url(), "--schema", "--ignore", "comments,owners"];
    let run = repo.run(&ignored).expect_code(4).says(&["ignored differences: comments 1"]);
    assert!(!run.stdout.contains("comment: people"), "{}", run.stdout);
}

#[test]
fn the_json_is_stable_and_says_the_same() {
    let source = Database::with(FIXTURE);
    let repo = Repo::new();
    repo.backup(&source, &["--name", "old"]);
    source.execute(
        "DROP VIEW app.named; DROP MATERIALIZED VIEW app.sums; ALTER TABLE app.accounts DROP twice",
    );
    source.execute(CHANGES);
    let arguments = ["compare", "old", "--with", &source.url(), "--schema", "--json", "--quiet"];
    let first = repo.run(&arguments).expect_code(4).stdout;
    assert_eq!(first, repo.run(&arguments).expect_code(4).stdout);
    let json: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&json["result"], &json["exit_code"]), (&"differs".into(), &4.into()));
    assert_eq!(json["left"]["name"], "old");
    let differences = json["schema"]["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 10);
    assert_eq!(
        differences.iter().find(|one| one["property"] == "type").unwrap(),
        &serde_json::json!({
            "object": {"class": "table", "schema": "app", "name": "accounts"},
            "column": "balance",
            "aspect": "definition",
            "change": "property",
            "property": "type",
            "left": "numeric(38,18)",
            "right": "numeric(20,2)",
        })
    );
    assert_eq!(
        differences.iter().find(|one| one["object"]["name"] == "new").unwrap(),
        &serde_json::json!({
            "object": {"class": "table", "schema": "app", "name": "new"},
            "aspect": "definition",
            "change": "only",
            "side": "right",
            "properties": {"owner": "postgres"},
            "columns": ["id"],
            "parts": [{"class": "primary-key", "schema": "app",
                       "on": {"schema": "app", "name": "new"}, "name": "new_pkey"}],
        })
    );
}

/// Archives from before there were descriptions are compared by their statements, with a word.
#[test]
fn an_archive_without_descriptions_is_compared_by_its_statements() {
    let repo = Repo::new();
    for part in ["backups", "manifests"] {
        let golden = crate::harness::project().join("tests/golden/v1").join(part);
        std::fs::create_dir(repo.path().join(part)).unwrap();
        for entry in std::fs::read_dir(golden).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, repo.path().join(part).join(path.file_name().unwrap())).unwrap();
        }
    }
    let target = Database::empty();
    repo.ok(&["restore", "golden", "--url", &target.url()]);
    target.execute("ALTER TABLE people ADD COLUMN more int; DROP TABLE no_columns");
    let run = repo.run(&["compare", "golden", "--with", &target.url(), "--schema"]).expect_code(4);
    assert!(run.stdout.contains("\n- table public.no_columns"), "{}", run.stdout);
    assert!(run.stdout.contains("\n~ table public.people\n  ~ definition"), "{}", run.stdout);
    assert!(run.stderr.contains("statements were compared"), "{}", run.stderr);
}

#[test]
fn a_selection_is_compared_for_what_it_holds() {
    let source = Database::with(FIXTURE);
    let repo = Repo::new();
    repo.backup(&source, &["--name", "part", "--table", "app.owners"]);
    let run = repo.ok(&["compare", "part", "--with", &source.url(), "--schema"]);
    assert!(run.stderr.contains("an archive holds a selection"), "{}", run.stderr);
    source.execute("ALTER TABLE app.owners ADD more int");
    let run = repo.run(&["compare", "part", "--with", &source.url(), "--schema"]).expect_code(4);
    assert!(run.stdout.ends_with("\n~ table app.owners\n  + column more: integer\n"), "{run:?}");
}

#[test]
fn rows_of_two_databases_are_not_compared() {
    let database = Database::empty();
    let repo = Repo::new();
    repo.run(&["compare", &database.url(), "--with", &database.url()])
        .expect_code(2)
        .says(&["--schema"]);
    repo.run(&["compare", &database.url(), "--with", &database.url(), "--ignore", "owners"])
        .expect_code(2);
    repo.run(&["compare", &database.url(), "--with", &database.url(), "--schema", "--ignore", "x"])
        .expect_code(2)
        .says(&["column-order"]);
}

/// What a newer server says and an older one cannot (names of NOT NULL, MAINTAIN, IN) is no
/// difference, nor are the quotes that the older one puts around `json`; a query that is written otherwise is one, and may be none.
#[test]
fn between_major_versions_only_texts_may_differ() {
    let (old, new) = (server_of(13), server_of(18));
    for server in [old, new] {
        server.role("d2_reader", "");
    }
    let more = "CREATE UNLOGGED TABLE app.scratch (id int PRIMARY KEY, a serial);
        CREATE PROCEDURE app.more(a int, VARIADIC b text[] DEFAULT '{x}') LANGUAGE sql AS '';
        GRANT SELECT ON app.accounts TO d2_reader; GRANT INSERT (note) ON app.accounts TO d2_reader;
        ALTER DOMAIN app.amount SET NOT NULL;
        CREATE TABLE app.documents (id int PRIMARY KEY, j json DEFAULT '{}' CHECK (j::text <> ''), all_j json[]);
        INSERT INTO app.documents VALUES (1, '[1 , 2]', ARRAY['1'::json, '[]']);
        CREATE FUNCTION app.of_json(a json, VARIADIC b json[]) RETURNS json LANGUAGE sql AS 'SELECT $1';
        REVOKE CREATE ON SCHEMA public FROM PUBLIC";
    let source = Database::with_on(old, FIXTURE);
    source.execute(more);
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let target = Database::empty_on(new);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    let (left, right) = (read(&source), read(&target));
    let comparison = all(&left, &right);
    let expected = ["~ view app.named: query", "~ materialized-view app.sums: query"];
    assert_eq!(shorts(&comparison), expected);
    assert!(comparison.differences.iter().all(|difference| difference.uncertain));
    assert!(comparison.notes[0].contains("may mean the same"), "{:?}", comparison.notes);
    let run = repo.run(&["compare", "latest", "--with", &target.url(), "--schema"]).expect_code(4);
    assert!(run.stdout.contains("\n  ~ query (?):\n"), "{}", run.stdout);

    // What differs in fact is found all the same.
    target.execute("ALTER TABLE app.owners ALTER name DROP NOT NULL; REVOKE SELECT ON app.accounts FROM d2_reader");
    let found = shorts(&all(&left, &read(&target)));
    assert!(found.contains(&String::from("~ table app.owners column name: not-null")), "{found:?}");
    let privileges = "~ table app.accounts: privileges [privileges]";
    assert!(found.contains(&String::from(privileges)), "{found:?}");
    assert_eq!(found.len(), 4);
}
