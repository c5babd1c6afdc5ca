// The parsers of a current Prometheus as a program: a page on stdin, its content type as the argument, one JSON object for each
// entry on stdout. What Prometheus would refuse ends it with status 1.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

type entry struct {
	Kind      string            `json:"kind"`
	Name      string            `json:"name,omitempty"`
	Text      string            `json:"text,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Value     string            `json:"value,omitempty"`
	CreatedMs int64             `json:"createdMs,omitempty"`
	Schema    int32             `json:"schema,omitempty"`
	Count     uint64            `json:"count,omitempty"`
	Sum       float64           `json:"sum,omitempty"`
	Buckets   []bucket          `json:"buckets,omitempty"`
}

type bucket struct {
	Upper float64 `json:"upper"`
	Count uint64  `json:"count"`
}

func main() {
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(contentType string, in io.Reader, out io.Writer) error {
	page, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	parser, err := textparse.New(page, contentType, labels.NewSymbolTable(), textparse.ParserOptions{
		KeepClassicOnClassicAndNativeHistograms: true,
		OpenMetricsSkipSTSeries:                 true,
	})
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(out)
	defer buffered.Flush()
	encoder := json.NewEncoder(buffered)
	for {
		kind, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		read, err := readEntry(parser, kind)
		if err != nil {
			return err
		}
		if err := encoder.Encode(read); err != nil {
			return err
		}
	}
}

func readEntry(parser textparse.Parser, kind textparse.Entry) (entry, error) {
	switch kind {
	case textparse.EntryHelp:
		name, text := parser.Help()
		return entry{Kind: "help", Name: string(name), Text: string(text)}, nil
	case textparse.EntryType:
		name, text := parser.Type()
		return entry{Kind: "type", Name: string(name), Text: string(text)}, nil
	case textparse.EntryUnit:
		name, text := parser.Unit()
		return entry{Kind: "unit", Name: string(name), Text: string(text)}, nil
	case textparse.EntrySeries:
		_, _, value := parser.Series()
		series, err := labelsOf(parser)
		return entry{Kind: "series", Labels: series, Value: strconv.FormatFloat(value, 'g', -1, 64), CreatedMs: parser.StartTimestamp()}, err
	case textparse.EntryHistogram:
		_, _, histogram, _ := parser.Histogram()
		if histogram == nil {
			return entry{}, errors.New("a histogram of floats")
		}
		if err := histogram.Validate(); err != nil {
			return entry{}, err
		}
		series, err := labelsOf(parser)
		read := entry{Kind: "histogram", Labels: series, CreatedMs: parser.StartTimestamp(), Schema: histogram.Schema, Count: histogram.Count, Sum: histogram.Sum}
		for buckets := histogram.PositiveBucketIterator(); buckets.Next(); {
			if at := buckets.At(); at.Count > 0 {
				read.Buckets = append(read.Buckets, bucket{Upper: at.Upper, Count: at.Count})
			}
		}
		return read, err
	default:
		return entry{Kind: "comment"}, nil
	}
}

// labelsOf also checks what a scrape checks: names are valid UTF-8 and no label stands twice.
func labelsOf(parser textparse.Parser) (map[string]string, error) {
	var series labels.Labels
	parser.Labels(&series)
	if name, twice := series.HasDuplicateLabelNames(); twice {
		return nil, fmt.Errorf("label %q twice", name)
	}
	if !series.IsValid(model.UTF8Validation) {
		return nil, fmt.Errorf("invalid labels %s", series)
	}
	return series.Map(), nil
}
