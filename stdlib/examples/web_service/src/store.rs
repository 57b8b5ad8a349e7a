//! The database: a server that owns it and writes, servers that read, and the functions by which all others ask them.

use std::path::Path;
use std::sync::Arc;

use otp_stdlib::partition_supervisor::{PartitionFlags, PartitionSupervisor};
use otp_stdlib::prelude::*;
use otp_vm::{CallError, Context, ExitReason, Native};
use redb::{Database, ReadableDatabase, TableDefinition};

use crate::{Notice, Options};

const STORE: &str = "store";
const READERS: &str = "readers";

const ENTRIES: TableDefinition<&str, &str> = TableDefinition::new("entries");

/// Why the store did not do what it was asked.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// It is not there, or took too long.
    Unavailable(String),
    /// The database failed.
    Database(String),
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// What is kept under a key.
pub(crate) async fn get(cx: &mut Context, key: String) -> Result<Option<String>, StoreError> {
    let readers = PartitionSupervisor::<Reader>::named(READERS).expect("a short name");
    let Some(reader) = readers.server(cx, &key) else {
        return Err(StoreError::Unavailable("there are no readers".to_owned()));
    };
    reader.get(cx, key).await?.map_err(StoreError::Database)
}

/// Keeps a value under a key. When this is done the value is on the disk.
pub(crate) async fn put(cx: &mut Context, key: String, value: String) -> Result<(), StoreError> {
    store()
        .put(cx, key, value)
        .await?
        .map_err(StoreError::Database)
}

fn store() -> ServerRef<Store> {
    ServerRef::from_name(STORE).expect("a short name")
}

pub(crate) fn child_spec(options: &Options) -> ChildSpec {
    let options = options.clone();
    ChildSpec::worker(STORE, move |cx| {
        Store::start_link(cx, options.clone()).name(STORE)
    })
}

pub(crate) fn readers_spec(options: &Options) -> ChildSpec {
    let options = options.clone();
    let flags = PartitionFlags::new().partitions(options.readers);
    PartitionSupervisor::<Reader>::child_spec(READERS, flags, move |_partition| {
        let options = options.clone();
        ChildSpec::worker(READERS, move |cx| Reader::start_link(cx, options.clone()))
    })
}

/// The owner of the database. There is one write at a time, so the process is no narrower than what it guards.
struct Store {
    database: Arc<Database>,
    /// Dropped last: by then the file is closed.
    _notice: Notice,
}

#[gen_server]
impl Store {
    async fn init(options: Options, cx: &mut Context) -> Init<Self> {
        // Told to end, it ends what it is writing first. (One that is killed leaves that to its thread, and the file open
        // for as long: the next one's start fails then, and is tried again.)
        cx.trap_exit(true);
        let notice = Notice::new(STORE, &options);
        match blocking(cx, move || open(&options.database)).await {
            Ok(database) => Init::ok(Store {
                database: Arc::new(database),
                _notice: notice,
            }),
            Err(error) => Init::stop(ExitReason::from(error)),
        }
    }

    #[call]
    async fn put(&mut self, key: String, value: String, cx: &mut Context) -> Result<(), String> {
        let database = Arc::clone(&self.database);
        blocking(cx, move || write(&database, &key, &value)).await
    }

    /// The database, for who reads. It is moved to the caller, as it is.
    #[call]
    fn database(&self) -> Native<Arc<Database>> {
        Native::new(Arc::clone(&self.database))
    }
}

/// Reads of what is committed, beside the writer and the other readers. A slow read keeps only those waiting whose keys
/// belong to the same reader.
struct Reader {
    database: Arc<Database>,
    _notice: Notice,
}

#[gen_server]
impl Reader {
    async fn init(options: Options, cx: &mut Context) -> Init<Self> {
        let database = match store().database(cx).await {
            Ok(database) => database.into_inner(),
            Err(error) => return Init::stop(error.reason()),
        };
        Init::ok(Reader {
            database: database.expect("nobody took it before"),
            _notice: Notice::new(READERS, &options),
        })
    }

    #[call]
    async fn get(&mut self, key: String, cx: &mut Context) -> Result<Option<String>, String> {
        let database = Arc::clone(&self.database);
        blocking(cx, move || read(&database, &key)).await
    }
}

/// Runs what waits for the disk on a thread where it keeps nobody else.
async fn blocking<T, F>(cx: &Context, work: F) -> Result<T, String>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, redb::Error> + Send + 'static,
{
    match cx.blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn open(path: &Path) -> Result<Database, redb::Error> {
    let database = Database::create(path)?;
    // The table is there from the first read on.
    let transaction = database.begin_write()?;
    transaction.open_table(ENTRIES)?;
    transaction.commit()?;
    Ok(database)
}

fn write(database: &Database, key: &str, value: &str) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ENTRIES)?.insert(key, value)?;
    transaction.commit()?;
    Ok(())
}

fn read(database: &Database, key: &str) -> Result<Option<String>, redb::Error> {
    let entries = database.begin_read()?.open_table(ENTRIES)?;
    let value = entries.get(key)?;
    Ok(value.map(|value| value.value().to_owned()))
}
