use otp_heap::{OwnedTerm, Pid, to_term};
use serde::Serialize;

use super::TableError;

/// How a table finds its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Hashed; keys are told apart by `=:=`, so `1` and `1.0` are two keys.
    Set,
    /// Sorted in Erlang's term order; keys are told apart by `==`, so `1` and `1.0` are one key.
    OrderedSet,
}

/// Who may read and write a table besides its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone reads and writes.
    Public,
    /// Everyone reads, the owner writes. The default, as in ETS.
    Protected,
    /// The owner alone reads and writes.
    Private,
}

/// What `ets:new/2` takes as a list of options.
///
/// ```
/// use otp_vm::{TableOptions, Vm};
///
/// let vm = Vm::builder().schedulers(1).build().unwrap();
/// let found = vm.run(|cx| async move {
///     let keeper = cx.spawn(|mut cx| async move { cx.receive().await; }).unwrap();
///     let options = TableOptions::set().named().heir(keeper, &"sessions").unwrap();
///     let table = cx.table_new("sessions", options).unwrap();
///     table.insert(&cx, &"ann", &7).unwrap();
///     cx.send(keeper, &"go").unwrap();
///     table.lookup::<_, i32>(&cx, &"ann").unwrap()
/// });
/// assert_eq!(found.wait().unwrap(), Some(7));
/// vm.shutdown(std::time::Duration::from_secs(1)).wait();
/// ```
#[derive(Debug)]
pub struct TableOptions {
    pub(super) kind: TableKind,
    pub(super) access: Access,
    pub(super) named: bool,
    pub(super) heir: Option<(Pid, OwnedTerm)>,
}

impl TableOptions {
    /// A hashed table, protected, not named, without an heir.
    pub fn set() -> TableOptions {
        TableOptions {
            kind: TableKind::Set,
            access: Access::Protected,
            named: false,
            heir: None,
        }
    }

    /// A sorted table, protected, not named, without an heir.
    pub fn ordered_set() -> TableOptions {
        TableOptions {
            kind: TableKind::OrderedSet,
            ..TableOptions::set()
        }
    }

    /// Everyone reads and writes.
    pub fn public(mut self) -> TableOptions {
        self.access = Access::Public;
        self
    }

    /// Everyone reads, the owner writes.
    pub fn protected(mut self) -> TableOptions {
        self.access = Access::Protected;
        self
    }

    /// The owner alone reads and writes.
    pub fn private(mut self) -> TableOptions {
        self.access = Access::Private;
        self
    }

    /// The table can be found by its name, which no other table of the VM then has.
    pub fn named(mut self) -> TableOptions {
        self.named = true;
        self
    }

    /// When the owner dies, `heir` becomes the owner and gets the message
    /// `{'ETS-TRANSFER', TableName, FromPid, Data}`.
    ///
    /// # Errors
    ///
    /// When `data` cannot be made a term, or holds a native resource.
    pub fn heir<T: Serialize + ?Sized>(
        mut self,
        heir: Pid,
        data: &T,
    ) -> Result<TableOptions, TableError> {
        self.heir = Some((heir, transfer_data(data)?));
        Ok(self)
    }
}

/// What a transfer message carries; it is copied, so natives are refused.
pub(super) fn transfer_data<T: Serialize + ?Sized>(data: &T) -> Result<OwnedTerm, TableError> {
    let data = to_term(data)?;
    if data.has_natives() {
        return Err(TableError::Native);
    }
    // It will lie in a tuple: data nested to the limit is refused now, not when the owner dies.
    to_term(&(&data,))?;
    Ok(data)
}
