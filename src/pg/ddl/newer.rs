//! What a newer server has to be told, and the source's version has no statement for.

use crate::pg::ident;

/// Runs a statement where the server is of this major version or newer.
pub(super) fn from(major: u32, sql: &str) -> String {
    let body = format!(
        "BEGIN
  IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= {major}0000 THEN
    EXECUTE {};
  END IF;
END",
        ident::literal(sql)
    );
    format!("DO LANGUAGE plpgsql {}", ident::literal(&body))
}
