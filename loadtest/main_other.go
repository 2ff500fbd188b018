//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "loadtest: this load tester needs Linux, for epoll and /proc: run it in a container or on another machine")
	os.Exit(2)
}
