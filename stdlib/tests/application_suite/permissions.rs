//! The case about permissions, on three VMs, which know nothing of each other.

use otp_stdlib::application;
use otp_stdlib::supervisor::Restart;
use otp_vm::{Context, Vm};

use super::*;

struct Node(Vm);

impl Node {
    fn run<T: Send + 'static, F>(&self, body: impl FnOnce(Context) -> F + Send + 'static) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.0.run(body).wait().expect("it runs")
    }

    fn new() -> Self {
        let node = Self(builder().schedulers(1).build().expect("a VM"));
        node.run(async |mut cx: Context| {
            let mut config = application::Config::new();
            let none = [("app1", false), ("app2", false), ("app3", false)];
            let none = none.map(|(app, may)| (atom(app), may));
            config
                .set("kernel", "permissions", &none.as_slice())
                .unwrap();
            let options = ControllerOptions::new().config(config);
            Controller::start(&mut cx, options)
                .await
                .expect("it starts");
            for (app, low) in [("app1", 1), ("app2", 4), ("app3", 7)] {
                application::load(&mut cx, super::app(app, low, low + 2))
                    .await
                    .unwrap();
            }
            for app in ["app1", "app2"] {
                application::start_as(&mut cx, app, Restart::Permanent)
                    .await
                    .unwrap();
            }
        });
        node
    }

    fn permit(&self, app: &'static str, may: bool) -> Result<(), ApplicationError> {
        self.run(move |mut cx: Context| async move { application::permit(&mut cx, app, may).await })
    }

    fn runs(&self, app: &'static str) -> bool {
        self.run(move |mut cx: Context| async move { is_started(&mut cx, app).await })
    }
}

#[test]
fn permit_false_start_local() {
    let nodes = [Node::new(), Node::new(), Node::new()];
    let [cp1, cp2, _] = &nodes;
    let runs = |app| nodes.each_ref().map(|node| node.runs(app));
    let nowhere = [false; 3];
    assert_eq!(runs("app1"), nowhere);

    // One that was not started, and one that is not loaded.
    for may in [true, false] {
        cp1.permit("app3", may).unwrap();
        assert_eq!(runs("app3"), nowhere);
        let error = cp1.permit("app_notloaded", may);
        assert_eq!(shown(error), "{not_loaded,app_notloaded}");
        assert_eq!(runs("app_notloaded"), nowhere);
    }
    // Twice is once.
    for _ in 0..2 {
        cp1.permit("app1", true).unwrap();
        assert_eq!(runs("app1"), [true, false, false]);
    }
    cp1.permit("app2", true).unwrap();
    assert_eq!(runs("app2"), [true, false, false]);
    cp2.permit("app1", true).unwrap();
    assert_eq!(runs("app1"), [true, true, false]);
    for _ in 0..2 {
        cp1.permit("app1", false).unwrap();
        assert_eq!(runs("app1"), [false, true, false]);
    }
    cp1.permit("app1", true).unwrap();
    assert_eq!(runs("app1"), [true, true, false]);
    cp1.permit("app1", false).unwrap();
    assert_eq!(runs("app1"), [false, true, false]);
    cp2.permit("app1", false).unwrap();
    assert_eq!(runs("app1"), nowhere);
    cp1.permit("app2", false).unwrap();
    assert_eq!(runs("app2"), nowhere);
    for node in nodes {
        node.0.shutdown(common::LIMIT).wait();
    }
}
