//! A process whose state is a term that grows: the list of all that it was told, newest first, on its own heap. To add
//! to it copies nothing of what is there; what is dropped is collected. The figures are those of `process_info`.
//!
//! Run it with `cargo run -p otp-vm --example growing_state`.

use std::error::Error;
use std::time::Duration;

use otp_heap::{HeapError, Root};
use otp_vm::{CallError, Context, MessageKind, Pid, Vm};

/// So many entries are kept; then all of them are dropped.
const KEPT_MAX: usize = 10_000;

/// Puts an entry in front of the list.
fn remember(cx: &Context, list: &mut Root, entry: otp_vm::Term<'_>) -> Result<(), HeapError> {
    let mut heap = cx.heap();
    let mut builder = heap.builder();
    builder.term(entry).root(list).cons();
    let longer = builder.keep()?;
    // The shorter one is part of it.
    let _ = heap.release(std::mem::replace(list, longer));
    Ok(())
}

/// Casts are remembered; a call is answered with the newest entry.
async fn journal(mut cx: Context) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut list = cx.heap().keep_value::<[u64]>(&[])?;
    let mut len = 0;
    loop {
        let message = cx.receive().await;
        match message.kind() {
            MessageKind::Cast(entry) => {
                remember(&cx, &mut list, entry)?;
                len += 1;
                if len > KEPT_MAX {
                    // It begins anew; all that was is garbage from here on.
                    let empty = cx.heap().keep_value::<[u64]>(&[])?;
                    let _ = cx.heap().release(std::mem::replace(&mut list, empty));
                    len = 0;
                }
            }
            MessageKind::Call { from, .. } => {
                let heap = cx.heap();
                let newest = heap.get(&list).and_then(|list| list.list_iter().next());
                cx.reply(&from, &newest)?;
            }
            _ => {}
        }
    }
}

fn print(cx: &Context, journal: Pid, when: &str) {
    if let Some(info) = cx.process_info(journal) {
        let heap = info.heap;
        println!(
            "{when}: {} words in use of {}, {} collections, {} bytes in all",
            heap.heap_size, heap.heap_block_size, heap.collections, info.memory
        );
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().build()?;
    let run = vm.run(|mut cx| async move {
        let journal = cx
            .spawn(|cx| async move {
                if let Err(error) = journal(cx).await {
                    eprintln!("the journal failed: {error}");
                }
            })
            .expect("a process");
        print(&cx, journal, "at first");
        for n in 0..100_000_u64 {
            cx.cast(journal, &(n, "an entry"))
                .expect("it can be encoded");
            if n % 20_000 == 19_999 {
                // Answered once all before it was taken in.
                let newest: Option<(u64, String)> =
                    cx.call(journal, &(), Duration::from_secs(5)).await?;
                print(&cx, journal, &format!("after {newest:?}"));
            }
        }
        let collected = cx.garbage_collect_process(journal).await;
        print(&cx, journal, &format!("collected ({collected})"));
        Ok::<(), CallError>(())
    });
    run.wait()??;
    vm.shutdown(Duration::from_secs(1)).wait();
    Ok(())
}
