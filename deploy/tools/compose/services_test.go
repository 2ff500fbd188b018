package compose

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// No service can write into its image, gain rights, or reach those that it has nothing to do with.
func TestServicesHaveNoRights(t *testing.T) {
	project := load(t, nil, "*")
	needed := map[string][]string{"nginx": {"CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"}}
	for name, service := range project.Services {
		if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Equal(service.CapAdd, needed[name]) ||
			!slices.Equal(service.SecurityOpt, []string{"no-new-privileges:true"}) || service.Privileged {
			t.Errorf("%s: read_only %v, cap_drop %v, cap_add %v, security_opt %v", name, service.ReadOnly, service.CapDrop, service.CapAdd, service.SecurityOpt)
		}
		if _, ok := service.Networks["default"]; ok || len(service.Networks) == 0 {
			t.Errorf("%s is on the network that all share", name)
		}
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"backend-1", "redis", true}, {"backend-1", "redis-cluster-3", true}, {"redis-cluster-1", "redis-cluster-2", true}, {"backend-1", "nginx", true},
		{"backend-1", "prometheus", true}, {"prometheus", "grafana", true}, {"prometheus", "alertmanager", true}, {"redis-exporter", "redis", true},
		{"nginx-exporter", "nginx", true}, {"demo", "nginx", true}, {"load", "nginx", true},
		{"nginx", "redis", false}, {"prometheus", "redis", false}, {"grafana", "redis", false}, {"alertmanager", "redis", false}, {"nginx", "prometheus", false},
		{"nginx", "grafana", false}, {"demo", "redis", false}, {"load", "redis", false}, {"nginx-exporter", "redis", false},
	} {
		if got := meet(project, tt.a, tt.b); got != tt.want {
			t.Errorf("%s reaches %s: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
	if !project.Networks["back"].Internal {
		t.Error("Redis has a way to the world")
	}
}

// Services come back by themselves, with bounded memory and of a version that does not change under
// them; the instances are one image, built once.
func TestServicesRunForLong(t *testing.T) {
	project := load(t, nil, "*")
	pinned := regexp.MustCompile(`^[a-z0-9/_-]+:v?\d+\.\d+\.\d+(-[a-z]+)?(@sha256:[0-9a-f]{64})?$`)
	for name, service := range project.Services {
		if want := map[bool]string{true: "no", false: "unless-stopped"}[name == "load"]; service.Restart != want {
			t.Errorf("%s: restart is %q, want %s", name, service.Restart, want)
		}
		if service.Deploy == nil || service.Deploy.Resources.Limits == nil || service.Deploy.Resources.Limits.MemoryBytes == 0 {
			t.Errorf("%s has no limit of memory", name)
		}
		own := strings.HasPrefix(service.Image, "zonecast")
		if !own && !pinned.MatchString(service.Image) {
			t.Errorf("%s: the image %s names no exact version", name, service.Image)
		}
		// Three builds of one tag at once get into one another's way.
		if want := name == "backend-1" || name == "load"; (service.Build != nil) != want {
			t.Errorf("%s is built: %v, want %v", name, service.Build != nil, want)
		}
		if own && name != "load" && (service.Image != "zonecast:dev" || service.PullPolicy != "never") {
			t.Errorf("%s has the image %s, pulled %q", name, service.Image, service.PullPolicy)
		}
		if service.Build == nil {
			continue
		}
		image := readFile(t, service.Build.Dockerfile)
		for argument := range service.Build.Args {
			if !strings.Contains(image, "\nARG "+argument+"=") {
				t.Errorf("%s: %s has no argument %s", name, service.Build.Dockerfile, argument)
			}
		}
		if target := service.Build.Target; target != "" && !strings.Contains(image, " AS "+target+"\n") {
			t.Errorf("%s: %s has no stage %s", name, service.Build.Dockerfile, target)
		}
	}
	if strings.Contains(readFile(t, "Makefile"), "VERSION) docker compose up") {
		t.Error("make up gives another VERSION than docker compose up takes")
	}
	// What nginx.conf wants is what its container may have.
	want, _ := strconv.Atoi(find(t, "nginx.conf", `worker_rlimit_nofile (\d+);`))
	if limit := project.Services["nginx"].Ulimits["nofile"]; limit.Hard < want || limit.Soft != limit.Hard {
		t.Errorf("the container of nginx may have %+v descriptors, nginx.conf wants %d", limit, want)
	}
}

// The line of Redis has fixed its remote code executions (CVE-2025-49844, CVE-2026-23479,
// CVE-2026-81934).
func TestRedisIsAFixedOne(t *testing.T) {
	// The first fixed version of each line.
	fixed := [][3]int{{6, 2, 24}, {7, 2, 16}, {7, 4, 11}, {8, 2, 9}, {8, 4, 6}, {8, 6, 6}, {8, 8, 2}, {8, 10, 1}}
	for _, name := range []string{"redis", "redis-cluster-1", "redis-cluster-2", "redis-cluster-3"} {
		var v [3]int
		image := load(t, nil, "*").Services[name].Image
		if _, err := fmt.Sscanf(image, "redis:%d.%d.%d-", &v[0], &v[1], &v[2]); err != nil {
			t.Fatalf("%s has the image %s: %v", name, image, err)
		}
		newest := fixed[len(fixed)-1]
		if !slices.ContainsFunc(fixed, func(f [3]int) bool { return f[0] == v[0] && f[1] == v[1] && v[2] >= f[2] }) && slices.Compare(v[:], newest[:]) < 0 {
			t.Errorf("%s is not of a fixed line", image)
		}
	}
}

// An instance leaves before it is killed, has room for its clients, and lets nobody in unasked.
func TestInstancesDifferOnlyInTheirName(t *testing.T) {
	project := load(t, secrets)
	first := project.Services[backends[0]]
	for _, name := range backends {
		service := project.Services[name]
		if got := value(service, "NODE_NAME"); got != name {
			t.Errorf("%s has the NODE_NAME %q", name, got)
		}
		drain, err := time.ParseDuration(value(service, "DRAIN_TIMEOUT"))
		if err != nil || time.Duration(*service.StopGracePeriod) < drain+10*time.Second {
			t.Errorf("%s: stop_grace_period %v has to be longer than DRAIN_DELAY and DRAIN_TIMEOUT %v (%v)", name, service.StopGracePeriod, drain, err)
		}
		if limit := service.Ulimits["nofile"]; limit.Soft < 20_000 || limit.Soft != limit.Hard {
			t.Errorf("%s: nofile is %+v, want the same number twice, over 20,000", name, limit)
		}
		if value(service, "ALLOW_ANONYMOUS") != "false" {
			t.Errorf("%s: ALLOW_ANONYMOUS is on unless .env turns it off", name)
		}
		service.Environment = maps.Clone(service.Environment)
		service.Environment["NODE_NAME"] = first.Environment["NODE_NAME"]
		service.Name, service.Build = first.Name, first.Build
		if !reflect.DeepEqual(service, first) {
			t.Errorf("%s is not like %s:\n%+v\n%+v", name, backends[0], service, first)
		}
	}
}

// Secrets come from outside alone.
func TestTheFileHoldsNoSecret(t *testing.T) {
	secret := regexp.MustCompile(`SECRET|PASSWORD|TOKEN|_KEY`)
	for name, service := range load(t, nil, "*").Services {
		for variable, given := range service.Environment {
			if secret.MatchString(variable) && given != nil && *given != "" {
				t.Errorf("%s: %s has the value %q in the file: leave it empty", name, variable, *given)
			}
		}
	}
	for secret, given := range secrets {
		for service, want := range map[string]bool{"backend-3": true, "redis-cluster-2": secret == "REDIS_PASSWORD", "grafana": false, "redis-exporter": false,
			"demo": secret == "PUBLISH_KEYS" || secret == "AUTH_TOKEN_SECRET"} {
			if got := value(load(t, secrets, "*").Services[service], secret) == given; got != want {
				t.Errorf("%s has %s: %v, want %v", service, secret, got, want)
			}
		}
	}
}

// With the profile cluster the instances wait for all three, and without it for none of them.
func TestInstancesWaitForTheirRedis(t *testing.T) {
	for profile, want := range map[string][]string{"demo": {"redis"}, "cluster": {"redis", "redis-cluster-1", "redis-cluster-2", "redis-cluster-3"}} {
		project := load(t, nil, profile)
		waits := project.Services["backend-2"].DependsOn
		var got []string
		for _, name := range slices.Sorted(maps.Keys(waits)) {
			if _, there := project.Services[name]; there {
				got = append(got, name)
			} else if waits[name].Required {
				t.Errorf("%s: instances can't do without %s, which is not there", profile, name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: instances wait for %v, want %v", profile, got, want)
		}
		for name, how := range waits {
			if how.Condition != types.ServiceConditionHealthy {
				t.Errorf("%s: instances wait for %s to be %s", profile, name, how.Condition)
			}
		}
	}
	hosts := strings.Fields(value(load(t, nil, "cluster").Services["redis-cluster-2"], "REDIS_CLUSTER"))
	for n, name := range byProfile["cluster"] {
		s := load(t, nil, "cluster").Services[name]
		if hosts[n] != name+":6379" || value(s, "REDIS_CLUSTER_NODE") != strconv.Itoa(n+1) {
			t.Errorf("%s is %s of %v", name, value(s, "REDIS_CLUSTER_NODE"), hosts)
		}
	}
}

// The file for engines before 25 takes away what they don't know, from every service.
func TestOldEnginesAreGivenWhatTheyKnow(t *testing.T) {
	for name, service := range loadFiles(t, []string{"docker-compose.yml", "deploy/docker-compose.engine-20.yml"}, nil, "*").Services {
		if service.HealthCheck != nil && service.HealthCheck.StartInterval != nil {
			t.Errorf("%s has a start_interval", name)
		}
	}
}
