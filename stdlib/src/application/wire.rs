//! What travels between the controller and those who ask it: OTP's terms.

use otp_vm::{Atom, Native, OwnedTerm, Pid, Ref};
use serde::{Deserialize, Serialize};

use super::ApplicationSpec;
use super::config::Config;
use crate::supervisor::Restart;

/// What the controller is asked.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// By name, or by a specification that is data.
    LoadApplication(OwnedTerm),
    /// By a specification.
    LoadSpec(Native<ApplicationSpec>),
    /// A specification to be found by name.
    Define(Native<ApplicationSpec>),
    /// To forget it.
    UnloadApplication(Atom),
    /// To start it.
    StartApplication(Atom, Restart),
    /// To stop it.
    StopApplication(Atom),
    /// Whether it runs.
    IsRunning(Atom),
    /// Whether it may run.
    PermitApplication(Atom, bool),
    /// Those that run.
    WhichApplications,
    /// How it is being started.
    StartType(Atom),
    /// To set keys, and whether that outlives a reload.
    SetEnv(Config, bool),
    /// To take a key away.
    UnsetEnv(Atom, Atom, bool),
    /// All environments of those that run.
    PrepConfigChange,
    /// To tell those that run what has changed since.
    ConfigChange(Config),
    /// Other specifications, and another configuration.
    ChangeApplicationData(Native<Vec<ApplicationSpec>>, Config),
}

/// What reaches the controller besides calls.
#[derive(Debug, Deserialize)]
pub enum Info {
    /// A master ended, or somebody else who was linked.
    #[serde(rename = "EXIT")]
    Exit(Pid, otp_vm::ExitReason),
    /// Whoever ends the tree of a master that was killed is gone.
    #[serde(rename = "DOWN")]
    Down(Ref, Atom, OwnedTerm, otp_vm::ExitReason),
    /// A master has its application running.
    ApplicationStarted(Pid),
}

/// What a master tells the controller.
#[derive(Serialize)]
pub(super) enum FromMaster {
    ApplicationStarted(Pid),
}

/// What reaches a master.
#[derive(Serialize, Deserialize)]
pub(super) enum ToMaster {
    /// The controller has noted it, and it may start.
    Begin,
    /// The controller wants its end.
    Stop,
    /// The process of the callbacks: it has started, or why not.
    Started(Pid, Option<otp_vm::ExitReason>),
    /// Somebody asks for the top process.
    GetChild(Pid, Ref),
    /// It has run long enough.
    MaxTime,
}

/// What reaches the process of the callbacks.
#[derive(Serialize, Deserialize)]
pub(super) enum ToStarter {
    /// The master wants its end.
    Terminate,
    /// To be answered to the first.
    GetChild(Pid, Ref),
}

/// The answer: the top and the module, if there is one.
#[derive(Serialize, Deserialize)]
pub(super) enum Child {
    Child(Ref, Option<(Pid, Atom)>),
}
