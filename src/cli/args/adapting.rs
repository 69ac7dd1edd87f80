//! The database that is made, and what is to be other in it.

use clap::Args;

/// The database that is made, and what is to be other in it.
#[derive(Debug, Args)]
pub struct Adapting {
    /// Fill a new database that takes the target's name in the end.
    #[arg(long)]
    pub create: bool,
    /// Keep a target that exists under a dated name, and put the new database in its place.
    #[arg(long, requires = "create")]
    pub swap: bool,
    /// End the sessions of the target's users at the swap.
    #[arg(long, requires = "swap")]
    pub disconnect: bool,
    /// Database to connect to while databases are created and renamed.
    #[arg(long, value_name = "NAME", default_value = "postgres")]
    pub maintenance_db: String,
    /// Let the role that connects own everything.
    #[arg(long, short = 'O')]
    pub no_owner: bool,
    /// Do not grant privileges, neither on what is made nor on future objects.
    #[arg(long, short = 'x')]
    pub no_privileges: bool,
    /// Create roles that are named and that the server lacks, as they were, but without passwords.
    ///
    /// The roles that these are members of are created too. Roles that are there are left alone, and
    /// so are settings of roles (ALTER ROLE … SET) that are not of one database. What was created is
    /// taken back if the run fails.
    #[arg(long)]
    pub create_roles: bool,
    /// Give what belongs to one role to another: owners, privileges, policies, user mappings.
    ///
    /// Can be given several times, also with the same new role. A name with an equals sign in it
    /// is written in double quotes.
    #[arg(long, value_name = "OLD=NEW")]
    pub role_map: Vec<String>,
    /// Put what lay in one tablespace into another.
    ///
    /// Can be given several times. The tablespaces must be there.
    #[arg(long, value_name = "OLD=NEW", conflicts_with = "no_tablespaces")]
    pub tablespace_map: Vec<String>,
    /// Put everything into the target database's own tablespace.
    #[arg(long)]
    pub no_tablespaces: bool,
    /// Set no security labels, where their provider is not there.
    #[arg(long)]
    pub no_security_labels: bool,
    /// Create the new database with another locale, where the server does not know the old one.
    ///
    /// LOCALE is one of the operating system; icu:LOCALE and builtin:LOCALE name one of ICU or of
    /// PostgreSQL itself. Text sorts by it, and indexes are built with it.
    #[arg(long, value_name = "LOCALE", requires = "create")]
    pub locale: Option<String>,
    /// Do without objects of a class, or one by name, and without what needs them.
    ///
    /// For what the role may not create or the server refuses: event-trigger, view:public.v,
    /// 'function:public.f(integer)', as messages write names; * in a name is any text. The summary lists
    /// them, and the exit code is 3.
    #[arg(long, value_name = "CLASS[:NAME]")]
    pub leave_out: Vec<String>,
    /// Let functions find what they name without a schema in these while rows are loaded.
    ///
    /// As in SET search_path: names with commas between them. Functions of CHECKs, generated columns,
    /// domains, indexes and materialized views run here without any path, unless they set their own
    /// (ALTER FUNCTION … SET search_path), because whoever may create objects in a schema of a path can
    /// have his own functions run by the role that restores. What comes after the rows is tried with it
    /// where it fails without; from PostgreSQL 17 on the server itself allows none for indexes and
    /// materialized views.
    #[arg(long, value_name = "SCHEMAS")]
    pub search_path: Option<String>,
    /// Load rows of partitions through their partitioned table.
    ///
    /// For keys of text that hash or sort otherwise on the target's server, where rows belong into other
    /// partitions; a restore of schema and rows finds that out by itself. The proof then compares each
    /// partitioned table as a whole.
    #[arg(long)]
    pub load_via_partition_root: bool,
}
