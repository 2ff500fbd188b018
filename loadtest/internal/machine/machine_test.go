//go:build linux

package machine

import (
	"os"
	"testing"
	"time"
)

func TestDescribe(t *testing.T) {
	d := Describe()
	if d.Cores < 1 || d.MemoryGiB < 1 || d.Kernel == "" || d.Go == "" {
		t.Errorf("%+v", d)
	}
	got := Description{Cores: 2, Processor: "AMD EPYC", MemoryGiB: 24, Kernel: "6.18", Go: "1.26.8", Node: "20.20.2"}.String()
	if want := "2 cores of AMD EPYC, 24 GiB, Linux 6.18, Go 1.26.8, Node 20.20.2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestIdle(t *testing.T) {
	if d, err := Idle(); err != nil || d <= 0 {
		t.Errorf("%v, %v", d, err)
	}
}

// The figures of this process are those that the kernel gives by other ways.
func TestThisProcess(t *testing.T) {
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
		continue
	}
	own, peak := Used()
	cpu, err := CPU(os.Getpid())
	if err != nil || (cpu-own).Abs() > 5*time.Second || cpu == 0 {
		t.Errorf("%v of CPU, %v; the kernel counts %v", cpu, err, own)
	}
	memory, err := Resident(os.Getpid())
	if err != nil || memory < 1<<20 || uint64(memory) > 2*peak {
		t.Errorf("%d bytes, %v; the peak is %d", memory, err, peak)
	}
	const nobody = 1 << 30
	if _, err := CPU(nobody); err == nil {
		t.Error("a process that is not there has a CPU time")
	}
	if _, err := Resident(nobody); err == nil {
		t.Error("a process that is not there has memory")
	}
}

func TestUsed(t *testing.T) {
	if _, peak := Used(); peak < 1<<20 || peak > 1<<40 {
		t.Errorf("a peak of %d bytes", peak)
	}
}
