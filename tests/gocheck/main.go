// gocheck FILE...: what Go's own pprof library says about profiles.
//
// Each file is parsed and checked for validity by the library, and for the
// rules that some readers add to it: ids that run 1..N in table order, an empty
// string first, valid UTF-8, one value a sample type, one value a label key.
// Prints one line of JSON a file. Exits 1, with a line on stderr for each
// violation, if a file breaks a rule.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"

	"github.com/google/pprof/profile"
)

type sampleType struct {
	Type  string `json:"type"`
	Unit  string `json:"unit"`
	Total int64  `json:"total"`
}

type mapping struct {
	Start      uint64 `json:"start"`
	Limit      uint64 `json:"limit"`
	Offset     uint64 `json:"offset"`
	File       string `json:"file"`
	BuildID    string `json:"build_id"`
	Symbolized bool   `json:"symbolized"`
}

type topEntry struct {
	Function string `json:"function"`
	Where    string `json:"where"`
	Flat     int64  `json:"flat"`
}

type summary struct {
	File        string       `json:"file"`
	SampleTypes []sampleType `json:"sample_types"`
	Default     string       `json:"default"`
	Period      int64        `json:"period"`
	PeriodType  string       `json:"period_type"`
	TimeNs      int64        `json:"time_ns"`
	DurationNs  int64        `json:"duration_ns"`
	Samples     int          `json:"samples"`
	Locations   int          `json:"locations"`
	Unnamed     int          `json:"locations_unnamed"`
	Functions   int          `json:"functions"`
	Mappings    []mapping    `json:"mappings"`
	Comments    []string     `json:"comments"`
	DropFrames  string       `json:"drop_frames"`
	Top         []topEntry   `json:"top"`
}

func defaultIndex(p *profile.Profile) int {
	for i, t := range p.SampleType {
		if t.Type == p.DefaultSampleType {
			return i
		}
	}
	return len(p.SampleType) - 1
}

// The innermost frame of a sample, as reports name it.
func leaf(s *profile.Sample) (function, where string) {
	if len(s.Location) == 0 {
		return "<none>", ""
	}
	l := s.Location[0]
	if len(l.Line) == 0 || l.Line[0].Function == nil {
		if l.Mapping != nil {
			return "<unnamed>", l.Mapping.File
		}
		return "<unnamed>", ""
	}
	f := l.Line[0].Function
	return f.Name, fmt.Sprintf("%s:%d", f.Filename, l.Line[0].Line)
}

// The five largest by |flat|. The profile's own drop_frames are applied first.
func top(p *profile.Profile) ([]topEntry, error) {
	if err := p.RemoveUninteresting(); err != nil {
		return nil, err
	}
	index := defaultIndex(p)
	flat := map[topEntry]int64{}
	for _, s := range p.Sample {
		function, where := leaf(s)
		flat[topEntry{Function: function, Where: where}] += s.Value[index]
	}
	entries := []topEntry{}
	for e, value := range flat {
		e.Flat = value
		entries = append(entries, e)
	}
	size := func(v int64) int64 {
		if v < 0 {
			return -v
		}
		return v
	}
	sort.Slice(entries, func(i, j int) bool {
		a, b := entries[i], entries[j]
		if size(a.Flat) != size(b.Flat) {
			return size(a.Flat) > size(b.Flat)
		}
		return a.Function+a.Where < b.Function+b.Where
	})
	if len(entries) > 5 {
		entries = entries[:5]
	}
	return entries, nil
}

func summarize(file string, p *profile.Profile) (*summary, error) {
	s := &summary{
		File: file, Period: p.Period, TimeNs: p.TimeNanos, DurationNs: p.DurationNanos,
		Samples: len(p.Sample), Locations: len(p.Location), Functions: len(p.Function),
		Comments: p.Comments, DropFrames: p.DropFrames, Mappings: []mapping{},
	}
	if p.PeriodType != nil {
		s.PeriodType = p.PeriodType.Type + "/" + p.PeriodType.Unit
	}
	for i, t := range p.SampleType {
		total := int64(0)
		for _, sample := range p.Sample {
			total += sample.Value[i]
		}
		s.SampleTypes = append(s.SampleTypes, sampleType{t.Type, t.Unit, total})
	}
	s.Default = p.SampleType[defaultIndex(p)].Type
	for _, l := range p.Location {
		if len(l.Line) == 0 {
			s.Unnamed++
		}
	}
	for _, m := range p.Mapping {
		s.Mappings = append(s.Mappings, mapping{m.Start, m.Limit, m.Offset, m.File, m.BuildID,
			m.HasFunctions && m.HasFilenames && m.HasLineNumbers && m.HasInlineFrames})
	}
	var err error
	s.Top, err = top(p)
	return s, err
}

func check(file string) (*summary, []error) {
	bytes, err := os.ReadFile(file)
	if err != nil {
		return nil, []error{err}
	}
	p, err := profile.ParseData(bytes)
	if err != nil {
		return nil, []error{err}
	}
	if err := p.CheckValid(); err != nil {
		return nil, []error{err}
	}
	violations := checkParsed(p)
	violations = append(violations, checkRaw(bytes)...)
	if len(violations) > 0 {
		return nil, violations
	}
	s, err := summarize(file, p)
	if err != nil {
		return nil, []error{err}
	}
	return s, nil
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: gocheck FILE...")
		os.Exit(2)
	}
	status := 0
	for _, file := range os.Args[1:] {
		s, violations := check(file)
		for _, v := range violations {
			fmt.Fprintf(os.Stderr, "gocheck: %s: %v\n", file, v)
			status = 1
		}
		if s == nil {
			continue
		}
		line, err := json.Marshal(s)
		if err != nil {
			fmt.Fprintf(os.Stderr, "gocheck: %s: %v\n", file, err)
			os.Exit(1)
		}
		fmt.Println(string(line))
	}
	os.Exit(status)
}
