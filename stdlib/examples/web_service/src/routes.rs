//! What is asked by which path: axum's part. A handler calls servers as any process does.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;

use crate::connection::Process;
use crate::store::{self, StoreError};

/// What is answered when there is no value: the status, and why.
type Failure = (StatusCode, String);

/// The routes of one connection.
pub(crate) fn router(process: Process) -> Router {
    Router::new()
        .route("/entries/{key}", get(fetch).put(keep))
        .with_state(process)
}

async fn fetch(State(process): State<Process>, Path(key): Path<String>) -> Result<String, Failure> {
    let value = process.run(|cx| Box::pin(store::get(cx, key))).await;
    done(value)?.ok_or_else(|| (StatusCode::NOT_FOUND, "there is no such key\n".to_owned()))
}

async fn keep(
    State(process): State<Process>,
    Path(key): Path<String>,
    value: String,
) -> Result<&'static str, Failure> {
    let kept = process.run(|cx| Box::pin(store::put(cx, key, value))).await;
    done(kept).map(|()| "kept\n")
}

/// What came of a request to the store; None: the connection ends.
fn done<T>(answer: Option<Result<T, StoreError>>) -> Result<T, Failure> {
    match answer {
        Some(Ok(value)) => Ok(value),
        Some(Err(StoreError::Unavailable(why))) => Err((StatusCode::SERVICE_UNAVAILABLE, why)),
        Some(Err(StoreError::Database(why))) => Err((StatusCode::INTERNAL_SERVER_ERROR, why)),
        None => Err((
            StatusCode::SERVICE_UNAVAILABLE,
            "the connection ends".to_owned(),
        )),
    }
}
