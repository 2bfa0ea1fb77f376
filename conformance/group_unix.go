//go:build unix

package conformance

import (
	"os/exec"
	"syscall"
)

// groupOfItsOwn makes a command the leader of a group: a client may be behind a wrapper.
func groupOfItsOwn(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills a command with all that it started.
func killGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
