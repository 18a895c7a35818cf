/* Reads many event streams at once, strictly, and times each tick.
 *
 *     readers PORT[/news] NAME:COUNT:BYTES_PER_S:PATH...
 *
 * Each argument after the port is a group of streams: how many, how fast each is read (-1: as it comes, 0: never), and the
 * path of the request. With gzip: before the path the group asks for compressed bodies, whose bytes are counted and not read. 100
 * streams share a source address. A command is a line on stdin, its answer a line of JSON on stdout:
 *
 *     open      connect every stream; answered when each has its head, or has failed
 *     window    count anew from here
 *     report    the figures since then, in all and by group; times in milliseconds
 *     churn N   open N more streams of the first group's path and reset each at some moment of its life
 *     renew R   from now on, R times a second, reset the next stream in turn and open it anew
 *
 * A tick is an event whose data has a member "quoteVolume24h", which is when it was published: Unix seconds with six decimals.
 * With /news it is one whose "exchangeTime", Unix milliseconds, is later than any before of that stream and that symbol (up to 8
 * of them), and not the first.
 * An answer that is not HTTP/1.1 with a chunked or unbounded body of well-formed events ends its stream and counts as an error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SYMBOL "\"symbol\":\""
enum { PER_ADDRESS = 100, IN_FLIGHT = 128, MSS = 1448, READ_BYTES = 256 * 1024, LONGEST_LINE = 64 * 1024, MOST_GROUPS = 1024, MOST_SYMBOLS = 8 };
enum { HALF_BITS = 6, HALF = 1 << HALF_BITS, BUCKETS = 32 * HALF, SLOW_TICK_MS = 10 };

struct histogram { uint64_t counts[BUCKETS], total; int64_t largest; };

struct group {
    const char *name, *path;
    int count;
    double bytes_per_s;
    bool gzip;
    size_t stamp_at; /* where the last line had its time: the next one of this group has it there too, most of the time */
    int open, ended, finished; /* finished: ended with the last chunk of a body */
    uint64_t ticks, others, reads;
    int64_t bytes; /* of bodies, with their chunks */
    struct histogram age;
};

struct seen { uint32_t symbol; int64_t stamp_us; };

enum state { IDLE, CONNECTING, HEAD, BODY };
enum phase { SIZE, DATA, DATA_END, LAST };
enum fate { LIVES, AT_CONNECT, AT_REQUEST, AT_HEAD, LATER };

struct stream {
    int fd;
    struct group *group;
    enum state state;
    enum phase phase;
    enum fate fate;
    bool chunked, compressed, has_data, is_named;
    uint64_t chunk_left;
    int64_t started_us, stamp_us;
    double allowance;
    struct seen seen[MOST_SYMBOLS];
    char *line; /* the start of a line (or of the head) whose end has not come yet */
    size_t line_length, line_room;
};

static struct sockaddr_in server;
static const char *member = "\"quoteVolume24h\":";
static bool only_news;
static struct group groups[MOST_GROUPS];
static int group_count, stream_count, epoll_fd;
static struct stream *streams;
static char *buffer;
static struct histogram opening;
static uint64_t errors;
static char first_error[256];
static int to_open, opening_now, failed;
static int to_churn, churning, churned, refused;
static int next_to_renew, renewed;
static double renew_per_s;
static int64_t renew_from_us;
static bool open_asked, churn_asked; /* and not answered yet */
static int64_t asked_us, window_started_us;
static double window_cpu_s;

static int64_t now_us(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Up to 2 * HALF microseconds a bucket each, then HALF buckets to each power of two: percentiles are right within 1.6 %. */
static void observe(struct histogram *h, int64_t us) {
    uint64_t value = us < 0 ? 0 : (uint64_t)us;
    int shift = value < 2 * HALF ? 0 : 63 - __builtin_clzll(value) - HALF_BITS;
    uint64_t index = (uint64_t)shift * HALF + (value >> shift);
    h->counts[index < BUCKETS ? index : BUCKETS - 1]++;
    h->total++;
    if (us > h->largest) h->largest = us;
}

static double percentile_ms(const struct histogram *h, double share) {
    uint64_t wanted = (uint64_t)(share * (double)h->total), seen = 0;
    for (uint64_t index = 0; index < BUCKETS; index++) {
        seen += h->counts[index];
        if (h->counts[index] == 0 || seen <= wanted) continue;
        uint64_t shift = index < 2 * HALF ? 0 : index / HALF - 1;
        return (double)((index - shift * HALF) << shift) / 1000;
    }
    return 0;
}

static void end_stream(struct stream *s, bool reset) {
    if (reset) setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(s->fd);
    if (s->state == BODY && s->fate == LIVES) {
        s->group->open--;
        s->group->ended++;
        s->group->finished += s->phase == LAST;
    }
    if (s->state != BODY && s->fate == LIVES) failed++, opening_now--;
    if (s->fate != LIVES) churning--, churned++;
    s->state = IDLE;
}

static void wrong(struct stream *s, const char *what, const char *text, size_t length) {
    if (errors++ == 0) snprintf(first_error, sizeof first_error, "%s: %.*s", what, (int)(length < 80 ? length : 80), text);
    end_stream(s, true);
}

static void watch(struct stream *s, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = s};
    if (epoll_ctl(epoll_fd, operation, s->fd, &event) < 0) perror("epoll_ctl"), exit(1);
}

/* number: which of its kind the stream is; of_churn: which kind, each having a network of source addresses of its own */
static void start_stream(struct stream *s, int number, bool of_churn) {
    int one = 1, mss = MSS;
    uint32_t network = 256 + ((uint32_t)getpid() * 2 + of_churn) % (65536 - 256), address = (uint32_t)(number / PER_ADDRESS) % 250 + 1;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(127u << 24 | network << 8 | address);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0) perror("socket"), exit(1);
    setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    /* Segments of an Ethernet's size: with loopback's of 64 KB the server's kernel would start with megabytes of buffer. */
    setsockopt(s->fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof mss);
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(s->fd, (struct sockaddr *)&source, sizeof source) < 0) perror("bind"), exit(1);
    s->state = CONNECTING;
    s->phase = SIZE;
    s->chunk_left = 0;
    s->line_length = 0;
    s->has_data = s->is_named = false;
    s->stamp_us = 0;
    s->allowance = 0;
    memset(s->seen, 0, sizeof s->seen);
    s->started_us = now_us(CLOCK_MONOTONIC);
    watch(s, EPOLL_CTL_ADD, EPOLLOUT);
    if (connect(s->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) end_stream(s, false);
}

static void keep(struct stream *s, const char *text, size_t length) {
    if (s->line_length + length > s->line_room) {
        s->line_room = (s->line_length + length) * 2;
        s->line = realloc(s->line, s->line_room);
    }
    memcpy(s->line + s->line_length, text, length);
    s->line_length += length;
}

static int64_t stamp_of(struct group *g, const char *line, size_t length) {
    size_t member_length = strlen(member);
    if (g->stamp_at + member_length >= length || memcmp(line + g->stamp_at, member, member_length) != 0) {
        const char *found = memmem(line, length, member, member_length);
        if (found == NULL) return 0;
        g->stamp_at = (size_t)(found - line);
    }
    int64_t us = 0;
    int decimals = -1;
    for (const char *at = line + g->stamp_at + member_length; at < line + length && decimals < 6; at++) {
        if (*at == '.' && decimals < 0) decimals = 0;
        else if (*at < '0' || *at > '9') break;
        else us = us * 10 + (*at - '0'), decimals += decimals >= 0;
    }
    for (decimals = decimals < 0 ? 0 : decimals; decimals < 6; decimals++) us *= 10; /* shortest form has no zeros at the end */
    return only_news ? us / 1000 : us;
}

/* Whether a symbol's time is later than all that the stream has had of it, the first of which is no news. */
static bool is_news(struct stream *s, const char *line, size_t length, int64_t stamp_us) {
    const char *name = memmem(line, length, SYMBOL, sizeof SYMBOL - 1);
    if (name == NULL) return false;
    uint32_t symbol = 2166136261u;
    for (name += sizeof SYMBOL - 1; name < line + length && *name != '"'; name++) symbol = (symbol ^ (uint8_t)*name) * 16777619u;
    for (struct seen *one = s->seen; one < s->seen + MOST_SYMBOLS; one++) {
        if (one->symbol != symbol && one->stamp_us != 0) continue;
        bool later = one->stamp_us != 0 && stamp_us > one->stamp_us;
        *one = (struct seen){symbol, stamp_us > one->stamp_us ? stamp_us : one->stamp_us};
        return later;
    }
    return false;
}

/* One line of the event stream, without its end. Returns false when the stream is not well-formed. */
static bool take_line(struct stream *s, const char *line, size_t length, int64_t wall_us) {
    struct group *g = s->group;
    if (length > 0 && line[length - 1] == '\r') length--;
    if (length == 0) {
        if (s->stamp_us) g->ticks++, observe(&g->age, wall_us - s->stamp_us);
        else if (s->has_data) g->others++;
        s->stamp_us = 0;
        s->has_data = s->is_named = false;
    } else if (length >= 5 && memcmp(line, "data:", 5) == 0) {
        s->has_data = true;
        int64_t stamp_us = stamp_of(g, line, length);
        if (stamp_us && (!only_news || is_news(s, line, length, stamp_us))) s->stamp_us = stamp_us;
    } else if (!(line[0] == ':' || (length >= 3 && memcmp(line, "id:", 3) == 0) || (length >= 6 && memcmp(line, "event:", 6) == 0) ||
                 (length >= 6 && memcmp(line, "retry:", 6) == 0))) {
        wrong(s, "not a field of an event", line, length);
        return false;
    }
    return true;
}

static bool take_text(struct stream *s, const char *text, size_t length, int64_t wall_us) {
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        if (end == NULL) {
            keep(s, text, length);
            if (s->line_length <= LONGEST_LINE) return true;
            wrong(s, "a line without an end", s->line, s->line_length);
            return false;
        }
        size_t taken = (size_t)(end - text);
        bool well = true;
        if (s->line_length > 0) {
            keep(s, text, taken);
            well = take_line(s, s->line, s->line_length, wall_us);
            s->line_length = 0;
        } else {
            well = take_line(s, text, taken, wall_us);
        }
        if (!well) return false;
        text += taken + 1;
        length -= taken + 1;
    }
    return true;
}

static int hex(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* Takes a part of the body. Returns false when the stream has ended. A chunk's size line may be cut anywhere, so what is known
 * of it is kept in chunk_left (size so far) and phase; "\r\n" after a chunk's data likewise. */
static bool take_body(struct stream *s, const char *at, size_t length, int64_t wall_us) {
    const char *end = at + length;
    if (!s->chunked) return s->compressed || take_text(s, at, length, wall_us);
    while (at < end) {
        if (s->phase == SIZE) {
            if (*at == '\n') {
                s->phase = s->chunk_left == 0 ? LAST : DATA;
            } else if (*at != '\r') {
                int digit = hex(*at);
                if (digit < 0 || s->chunk_left > UINT32_MAX) return wrong(s, "not the size of a chunk", at, (size_t)(end - at)), false;
                s->chunk_left = s->chunk_left * 16 + (uint64_t)digit;
            }
            at++;
        } else if (s->phase == DATA) {
            size_t part = (size_t)(end - at) < s->chunk_left ? (size_t)(end - at) : s->chunk_left;
            if (!s->compressed && !take_text(s, at, part, wall_us)) return false;
            at += part;
            s->chunk_left -= part;
            if (s->chunk_left == 0) s->phase = DATA_END;
        } else if (s->phase == DATA_END) {
            if (*at != '\r' && *at != '\n') return wrong(s, "not the end of a chunk", at, (size_t)(end - at)), false;
            if (*at == '\n') s->phase = SIZE;
            at++;
        } else {
            at++; /* the empty line after the last chunk */
        }
    }
    return true;
}

/* Takes a part of the answer's head. Returns how much of the text belonged to it, or -1 when the stream has ended. */
static long take_head(struct stream *s, const char *text, size_t length) {
    size_t before = s->line_length;
    keep(s, text, length);
    char *end = memmem(s->line, s->line_length, "\r\n\r\n", 4);
    if (end == NULL) {
        if (s->line_length <= LONGEST_LINE) return (long)length;
        return wrong(s, "a head without an end", s->line, s->line_length), -1;
    }
    size_t head = (size_t)(end - s->line) + 4;
    if (memcmp(s->line, "HTTP/1.1 200 ", 13) != 0) {
        if (s->fate != LIVES) return refused++, end_stream(s, true), -1;
        return wrong(s, "refused", s->line, head), -1;
    }
    *end = 0;
    if (strcasestr(s->line, "\r\ncontent-type: text/event-stream") == NULL || strcasestr(s->line, "\r\ncontent-length:") != NULL)
        return wrong(s, "not an event stream", s->line, head), -1;
    s->chunked = strcasestr(s->line, "\r\ntransfer-encoding: chunked") != NULL;
    s->compressed = strcasestr(s->line, "\r\ncontent-encoding: gzip") != NULL;
    if (s->compressed != s->group->gzip) return wrong(s, "compressed, or not, unlike the request", s->line, head), -1;
    s->group->bytes -= (int64_t)head;
    s->line_length = 0;
    s->state = BODY;
    if (s->fate == LIVES) {
        s->group->open++;
        opening_now--;
        observe(&opening, now_us(CLOCK_MONOTONIC) - s->started_us);
        if (s->group->bytes_per_s >= 0) watch(s, EPOLL_CTL_MOD, 0); /* read by the clock, or never */
    }
    return (long)(head - before);
}

static void read_stream(struct stream *s, size_t most) {
    ssize_t got = recv(s->fd, buffer, most < READ_BYTES ? most : READ_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        end_stream(s, false);
        return;
    }
    int64_t wall_us = now_us(CLOCK_REALTIME);
    s->group->bytes += got;
    s->group->reads++;
    s->allowance -= (double)got;
    const char *at = buffer;
    if (s->state == HEAD) {
        long head = take_head(s, buffer, (size_t)got);
        if (head < 0) return;
        at += head;
        got -= head;
        if (s->state == BODY && s->fate == AT_HEAD) {
            end_stream(s, true);
            return;
        }
    }
    if (s->state == BODY && got > 0 && take_body(s, at, (size_t)got, wall_us) && s->fate == LATER && rand() % 4 == 0)
        end_stream(s, true);
}

static void on_ready(struct stream *s, uint32_t events) {
    if (s->state == CONNECTING) {
        char request[8192];
        int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s\r\n", s->group->path,
                              s->group->gzip ? "Accept-Encoding: gzip\r\n" : "");
        if ((events & (EPOLLERR | EPOLLHUP)) || s->fate == AT_CONNECT || send(s->fd, request, (size_t)length, MSG_NOSIGNAL) != length ||
            s->fate == AT_REQUEST) {
            end_stream(s, true);
            return;
        }
        s->state = HEAD;
        watch(s, EPOLL_CTL_MOD, EPOLLIN);
    } else if (s->state == BODY && s->group->bytes_per_s >= 0 && s->fate == LIVES) {
        end_stream(s, false); /* such a stream only hears of errors here: the server has cut it */
    } else if (s->state != IDLE) {
        read_stream(s, READ_BYTES);
    }
}

static void read_slow_streams(double elapsed_s) {
    for (int i = 0; i < stream_count; i++) {
        struct stream *s = &streams[i];
        if (s->state != BODY || s->group->bytes_per_s <= 0 || s->fate != LIVES) continue;
        s->allowance += s->group->bytes_per_s * elapsed_s;
        if (s->allowance > s->group->bytes_per_s) s->allowance = s->group->bytes_per_s; /* a second's worth at the most */
        if (s->allowance >= 1) read_stream(s, (size_t)s->allowance);
    }
}

static void start_window(void) {
    window_started_us = now_us(CLOCK_MONOTONIC);
    window_cpu_s = cpu_s();
    for (struct group *g = groups; g < groups + group_count; g++) {
        g->ticks = g->others = g->bytes = g->reads = 0;
        g->ended = g->finished = 0;
        memset(&g->age, 0, sizeof g->age);
    }
}

static void report(void) {
    double wall_s = (double)(now_us(CLOCK_MONOTONIC) - window_started_us) / 1e6;
    printf("{\"seconds\":%.6f,\"cpu_s\":%.6f,\"errors\":%lu,\"error\":\"", wall_s, cpu_s() - window_cpu_s, errors);
    for (const char *c = first_error; *c; c++) putchar(*c < ' ' || *c == '"' || *c == '\\' ? ' ' : *c);
    static struct histogram all;
    memset(&all, 0, sizeof all);
    for (struct group *g = groups; g < groups + group_count; g++) {
        for (int i = 0; i < BUCKETS; i++) all.counts[i] += g->age.counts[i];
        all.total += g->age.total;
    }
    printf("\",\"ticks\":%lu,\"p50_ms\":%.3f,\"p99_ms\":%.3f", all.total, percentile_ms(&all, 0.5), percentile_ms(&all, 0.99));
    printf(",\"groups\":{");
    for (struct group *g = groups; g < groups + group_count; g++)
        printf("%s\"%s\":{\"open\":%d,\"ended\":%d,\"finished\":%d,\"ticks\":%lu,\"others\":%lu,\"bytes\":%ld,\"reads\":%lu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
               "\"max_ms\":%.3f}", g == groups ? "" : ",", g->name, g->open, g->ended, g->finished, g->ticks, g->others, g->bytes, g->reads,
               percentile_ms(&g->age, 0.5), percentile_ms(&g->age, 0.99), (double)g->age.largest / 1000);
    printf("}}\n");
    fflush(stdout);
}

static void command(const char *line) {
    asked_us = now_us(CLOCK_MONOTONIC);
    if (strcmp(line, "open") == 0) to_open = stream_count, open_asked = true;
    else if (strcmp(line, "window") == 0) start_window(), printf("{}\n"), fflush(stdout);
    else if (strcmp(line, "report") == 0) report();
    else if (strncmp(line, "churn ", 6) == 0) to_churn = atoi(line + 6), churned = refused = 0, churn_asked = true;
    else if (sscanf(line, "renew %lf", &renew_per_s) == 1) renew_from_us = asked_us, renewed = 0, printf("{}\n"), fflush(stdout);
    else fprintf(stderr, "unknown command %s\n", line), exit(1);
}

/* Starts as many streams as may be on their way at once, and answers when the last has come to its end. */
static void go_on(void) {
    static struct stream spare[IN_FLIGHT / 2];
    static int number;
    double took_s = (double)(now_us(CLOCK_MONOTONIC) - asked_us) / 1e6;
    for (; to_open > 0 && opening_now < IN_FLIGHT; to_open--) {
        opening_now++;
        start_stream(&streams[stream_count - to_open], stream_count - to_open, false);
    }
    if (open_asked && to_open == 0 && opening_now == 0) {
        printf("{\"seconds\":%.6f,\"failed\":%d,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n", took_s, failed, percentile_ms(&opening, 0.5),
               percentile_ms(&opening, 0.99));
        fflush(stdout);
        open_asked = false;
    }
    for (struct stream *s = spare; to_churn > 0 && s < spare + IN_FLIGHT / 2; s++) {
        if (s->state != IDLE) continue;
        to_churn--;
        churning++;
        s->group = &groups[0];
        s->fate = AT_CONNECT + (enum fate)(rand() % LATER);
        start_stream(s, number++ % 20000, true);
    }
    if (churn_asked && to_churn == 0 && churning == 0) {
        printf("{\"seconds\":%.6f,\"churned\":%d,\"refused\":%d}\n", took_s, churned, refused);
        fflush(stdout);
        churn_asked = false;
    }
}

/* Renews the streams that are due. One that is still opening waits for its next turn. */
static void renew(void) {
    int due = (int)((double)(now_us(CLOCK_MONOTONIC) - renew_from_us) / 1e6 * renew_per_s) - renewed;
    for (; due > 0 && opening_now < IN_FLIGHT; due--, renewed++) {
        int number = next_to_renew % stream_count, turn = next_to_renew++ / stream_count;
        struct stream *s = &streams[number];
        if (s->state == CONNECTING || s->state == HEAD) continue;
        if (s->state == BODY) {
            end_stream(s, true);
            s->group->ended--; /* by us */
        }
        opening_now++;
        start_stream(s, number, turn % 2 == 0); /* from another address than before, whose share may still be used up */
    }
}

int main(int count, char **arguments) {
    char input[4096];
    size_t input_length = 0;
    if (count < 3 || count - 2 > MOST_GROUPS) return fprintf(stderr, "readers PORT[/news] NAME:COUNT:BYTES_PER_S:PATH...\n"), 2;
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if ((only_news = strstr(arguments[1], "/news") != NULL)) member = "\"exchangeTime\":";
    for (int i = 2; i < count; i++) {
        struct group *g = &groups[group_count++];
        g->name = strsep(&arguments[i], ":");
        g->count = atoi(strsep(&arguments[i], ":"));
        g->bytes_per_s = atof(strsep(&arguments[i], ":"));
        g->gzip = strncmp(arguments[i], "gzip:", 5) == 0;
        g->path = arguments[i] + (g->gzip ? 5 : 0);
        stream_count += g->count;
    }
    streams = calloc((size_t)stream_count, sizeof *streams);
    buffer = malloc(READ_BYTES);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct stream *next = streams;
    for (struct group *g = groups; g < groups + group_count; g++)
        for (int i = 0; i < g->count; i++) next++->group = g;
    struct epoll_event stdin_event = {.events = EPOLLIN, .data.ptr = NULL}, events[512];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &stdin_event);
    start_window();
    bool any_slow = false;
    for (struct group *g = groups; g < groups + group_count; g++) any_slow |= g->bytes_per_s > 0;
    int64_t slow_us = now_us(CLOCK_MONOTONIC);
    for (;;) {
        int ready = epoll_wait(epoll_fd, events, 512, any_slow || renew_per_s > 0 ? SLOW_TICK_MS : 1000);
        bool input_ready = false;
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr == NULL) input_ready = true;
            else on_ready(events[i].data.ptr, events[i].events);
        }
        int64_t at_us = now_us(CLOCK_MONOTONIC);
        if (any_slow && at_us - slow_us >= SLOW_TICK_MS * 1000) {
            read_slow_streams((double)(at_us - slow_us) / 1e6);
            slow_us = at_us;
        }
        if (input_ready) {
            ssize_t got = read(STDIN_FILENO, input + input_length, sizeof input - input_length - 1);
            if (got <= 0) return 0; /* whoever started us has gone */
            input_length += (size_t)got;
            input[input_length] = 0;
            char *rest = input, *end;
            while ((end = strchr(rest, '\n')) != NULL) {
                *end = 0;
                command(rest);
                rest = end + 1;
            }
            input_length = strlen(rest);
            memmove(input, rest, input_length + 1);
        }
        go_on();
        if (renew_per_s > 0) renew();
    }
}
