// A Go program as its users know it: net/http/pprof on a port of loopback, which it
// prints. It keeps a megabyte and burns a little CPU time.
package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"time"
)

var kept [][]byte

func keep() {
	for i := 0; i < 1000; i++ {
		kept = append(kept, make([]byte, 1000))
	}
}

func burn() {
	for {
		for start := time.Now(); time.Since(start) < 2*time.Millisecond; {
		}
		time.Sleep(18 * time.Millisecond)
	}
}

func main() {
	runtime.MemProfileRate = 4096
	keep()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	go burn()
	http.Serve(listener, nil)
}
