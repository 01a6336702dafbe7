// gowriter PROFILE OUTPUT ROUNDS: how long Go's own writer takes to write that
// profile, gzip'd and on disk. Reading it comes before, and is not counted. Prints
// one line of JSON: milliseconds of each round, and the size of the last file.
package main

import (
	"encoding/json"
	"log"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/google/pprof/profile"
)

func read(path string) *profile.Profile {
	f, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	p, err := profile.Parse(f)
	if err != nil {
		log.Fatal(err)
	}
	return p
}

func write(p *profile.Profile, path string) int64 {
	f, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	if err = p.Write(f); err == nil {
		err = f.Sync()
	}
	if err != nil {
		log.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		log.Fatal(err)
	}
	f.Close()
	return st.Size()
}

func cpuMs() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: gowriter PROFILE OUTPUT ROUNDS")
	}
	rounds, err := strconv.Atoi(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	p := read(os.Args[1])
	var out struct {
		Wall  []float64 `json:"wall_ms"`
		CPU   []float64 `json:"cpu_ms"`
		Bytes int64     `json:"bytes"`
	}
	for i := 0; i < rounds; i++ {
		begin, cpu := time.Now(), cpuMs()
		out.Bytes = write(p, os.Args[2])
		out.Wall = append(out.Wall, float64(time.Since(begin).Microseconds())/1e3)
		out.CPU = append(out.CPU, cpuMs()-cpu)
	}
	json.NewEncoder(os.Stdout).Encode(out)
}
