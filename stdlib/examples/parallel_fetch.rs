//! Many slow requests, a few at a time: `async_stream` in place of a task for each, which would be as many requests at
//! once as there are addresses.
//!
//! `cargo run -p otp-stdlib --example parallel_fetch`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use otp_stdlib::prelude::*;
use otp_stdlib::task::StreamError;
use otp_vm::{Context, ExitReason, Vm};

/// As many requests as the other side likes at a time.
const MAX_CONCURRENCY: usize = 4;

/// What stands in for a client of some service: it takes its time, and knows how many ask.
#[derive(Clone, Default)]
struct Client {
    asking: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Client {
    async fn fetch(&self, cx: Context, path: &str) -> String {
        let asking = self.asking.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(asking, Ordering::SeqCst);
        cx.sleep(Duration::from_millis(5)).await;
        self.asking.fetch_sub(1, Ordering::SeqCst);
        if path.ends_with("13") {
            cx.exit("410 Gone");
        }
        format!("the page of {path}")
    }
}

async fn fetch_all(mut cx: Context, client: Client) -> (usize, Vec<String>) {
    // Under a supervisor, and not linked: one page that fails is an error among the results.
    let tasks = TaskSupervisor::start_link(&mut cx, DynamicSupervisorFlags::new())
        .await
        .expect("the supervisor starts");
    let paths = (0..20).map(|n| format!("/page/{n}"));
    let fetch = move |cx, path: String| {
        let client = client.clone();
        async move { client.fetch(cx, &path).await }
    };
    let mut pages = TaskSupervisor::async_stream_nolink(&tasks, paths, fetch)
        .max_concurrency(MAX_CONCURRENCY)
        .timeout(Duration::from_secs(30))
        .kill_task_on_timeout()
        .zip_input_on_exit();
    let (mut fetched, mut failed) = (0, Vec::new());
    while let Some(page) = pages.next(&mut cx).await {
        match page {
            Ok(page) => {
                println!("{page}");
                fetched += 1;
            }
            Err(StreamError::Exit { reason, input }) => {
                let path = input.unwrap_or_default();
                println!("{path}: {reason}");
                failed.push(path);
            }
            Err(error) => panic!("{error}"),
        }
    }
    tasks
        .stop(&mut cx, ExitReason::normal(), None)
        .await
        .expect("the supervisor ends");
    (fetched, failed)
}

fn main() -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().schedulers(2).build()?;
    let client = Client::default();
    let asked = client.clone();
    let (fetched, failed) = vm.run(move |cx| fetch_all(cx, asked)).wait()?;
    assert_eq!((fetched, failed), (19, vec!["/page/13".to_owned()]));
    let most = client.most.load(Ordering::SeqCst);
    println!("{most} at a time at most");
    assert!(most <= MAX_CONCURRENCY);
    vm.shutdown(Duration::from_secs(5)).wait();
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
