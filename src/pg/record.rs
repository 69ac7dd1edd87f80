//! Rows that the server has sent. The driver's own row panics where it cannot be read, and the server's
//! functions give null for an object that another session has dropped a moment ago: here that is a failure.

use crate::error::Error;
use crate::model::name::QualifiedName;
use std::error::Error as _;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, WasNull};

/// One row.
#[derive(Debug)]
pub struct Record(Row);

impl Record {
    /// The driver's row.
    pub(super) fn new(row: Row) -> Self {
        Self(row)
    }

    /// The value of `column`; a null is a failure unless `T` is an `Option`.
    ///
    /// # Errors
    /// Also when the value is of another type.
    pub fn get<'a, T: FromSql<'a>>(&'a self, column: &str) -> Result<T, Unread> {
        self.0.try_get(column).map_err(|why| Unread { column: column.to_owned(), why })
    }

    /// The value at a position, from 0 on, likewise.
    ///
    /// # Errors
    /// As of [`Self::get`].
    pub fn at<'a, T: FromSql<'a>>(&'a self, position: usize) -> Result<T, Unread> {
        self.0.try_get(position).map_err(|why| {
            let column = self.0.columns().get(position).map(|column| column.name().to_owned());
            Unread { column: column.unwrap_or_else(|| format!("column {position}")), why }
        })
    }

    /// The schema at a position, and the name after it.
    ///
    /// # Errors
    /// As of [`Self::get`].
    pub fn name_at(&self, position: usize) -> Result<QualifiedName, Unread> {
        Ok(QualifiedName::new(self.at::<String>(position)?, self.at::<String>(position + 1)?))
    }
}

/// A value that could not be read.
#[derive(Debug)]
pub struct Unread {
    column: String,
    why: tokio_postgres::Error,
}

impl From<Unread> for Error {
    fn from(Unread { column, why }: Unread) -> Self {
        match why.source() {
            Some(cause) if cause.is::<WasNull>() => Self::failed(format!(
                "{column} is null, as it is of an object that was dropped meanwhile"
            ))
            .hint("run it again when nobody changes the schema"),
            cause => Self::failed(format!("cannot read {column} of the server's answer"))
                .caused_by(cause.map_or_else(|| why.to_string(), ToString::to_string)),
        }
    }
}
