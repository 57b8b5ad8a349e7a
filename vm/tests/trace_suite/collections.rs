//! The flag `garbage_collection`, which no case of the suite is about.

use otp_vm::{Atom, Context, Message, Pid, Priority, TraceFlags};

use crate::stage::{down, nothing, simulate};

/// An event of a collection.
struct Told {
    what: String,
    info: Vec<(Atom, u64)>,
}

impl Told {
    fn of(message: &Message, pid: Pid) -> Self {
        type Event = (Atom, Pid, Atom, Vec<(Atom, u64)>);
        let (_, of, what, info) = message.decode::<Event>().expect("an event of a collection");
        assert_eq!(of, pid);
        let what = what.as_str().to_owned();
        Self { what, info }
    }

    fn get(&self, name: &str) -> u64 {
        let mut items = self.info.iter().filter(|(item, _)| item.as_str() == name);
        items.next().expect("the item").1
    }
}

/// Garbage of so many words at least.
const GARBAGE: u64 = 1000;

/// Leaves garbage on its heap, and then collects or waits.
async fn litter(mut cx: Context) {
    {
        let mut heap = cx.heap();
        let list: Vec<u64> = (0..GARBAGE).collect();
        let root = heap.keep_value(&list).unwrap();
        heap.release(root).unwrap();
    }
    if cx.receive().await.decode::<bool>().unwrap() {
        cx.garbage_collect();
    }
    cx.receive().await;
}

async fn collection(cx: &mut Context, pid: Pid) {
    let begins = Told::of(&cx.receive().await, pid);
    let ends = Told::of(&cx.receive().await, pid);
    assert_eq!(begins.what, "gc_major_start");
    assert_eq!(ends.what, "gc_major_end");
    assert_eq!(begins.get("wordsize"), 0);
    assert!(begins.get("heap_size") >= GARBAGE);
    let reclaimed = begins.get("heap_size") - ends.get("heap_size");
    assert!(reclaimed >= GARBAGE);
    assert_eq!(ends.get("wordsize"), reclaimed);
    assert!(ends.get("heap_block_size") >= ends.get("heap_size"));
    assert_eq!(begins.get("bin_vheap_size"), 0);
    // The order to collect or to wait may still be in the mailbox.
    assert!(begins.get("mbuf_size") < 100);
}

/// By itself, as it was asked to, and by who does it in its place.
#[test]
fn collections_are_traced() {
    simulate(|mut cx| async move {
        for (own, priority) in [
            (true, Priority::Normal),
            (false, Priority::Normal),
            (false, Priority::High),
        ] {
            let (pid, monitor) = cx.spawn_monitor(litter).unwrap();
            let flags = TraceFlags::GARBAGE_COLLECTION;
            assert_eq!(cx.trace(pid, flags), Ok(1));
            cx.send(pid, &own).unwrap();
            if !own {
                // First it makes its garbage.
                while cx.process_info(pid).unwrap().heap.heap_size < GARBAGE as usize {
                    cx.yield_now().await;
                }
                let before = cx.set_priority(priority);
                assert!(cx.garbage_collect_process(pid).await);
                cx.set_priority(before);
            }
            collection(&mut cx, pid).await;
            nothing(&mut cx).await;
            cx.send(pid, "end").unwrap();
            down(&mut cx, monitor).await;
        }
    });
}
