/* Publishes ticks at an even pace, each stamped with the moment at which it goes.
 *
 *     publisher redis PORT MESSAGES
 *     publisher http PORT PATH MESSAGES
 *
 * MESSAGES is a file with a line per symbol: its channel, a tab, and a message in which @S stands for the symbol's number of
 * messages, @M for Unix milliseconds and @U for Unix seconds with six decimals. To Redis messages are published in pipelines;
 * by HTTP each is a POST to PATH and the symbol, over several connections, one request at a time on each. Commands on stdin,
 * answers on stdout:
 *
 *     rate R K  publish R messages a second from now on (0: none), in turn of the first K symbols
 *     report    how many were published so far, how many of these a server refused, how many are overdue, and processor time
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_SYMBOLS = 256, LONGEST = 16 * 1024, OUTPUT_ROOM = 4 << 20, CONNECTIONS = 16, MOST_AT_ONCE = 1000 };
static const double SHORTEST_WAIT_S = 0.0005;

struct symbol { char *channel, *message; uint64_t number; };
struct connection { int fd; bool busy; char *input; size_t length; };

static struct symbol symbols[MOST_SYMBOLS];
static struct connection connections[CONNECTIONS];
static int symbol_count, symbols_used = 1, next_symbol, connection_count, port;
static const char *path; /* of HTTP; NULL: Redis */
static char *output;
static size_t output_length;
static double rate, started_s;
static uint64_t published, published_at_start, refused;

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void load(const char *file) {
    FILE *in = fopen(file, "r");
    char *line = NULL;
    size_t room = 0;
    if (in == NULL) fail(file);
    for (ssize_t length; symbol_count < MOST_SYMBOLS && (length = getline(&line, &room, in)) > 0;) {
        if (line[length - 1] == '\n') line[length - 1] = 0;
        char *rest = strdup(line);
        symbols[symbol_count].channel = strsep(&rest, "\t");
        symbols[symbol_count++].message = rest;
    }
    free(line);
    fclose(in);
    if (symbol_count == 0) fprintf(stderr, "no messages in %s\n", file), exit(1);
}

static void open_connections(int count) {
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (connection_count = 0; connection_count < count; connection_count++) {
        struct connection *c = &connections[connection_count];
        int one = 1;
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0) fail("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->input = malloc(LONGEST);
    }
}

/* Writes the symbol's next message. Returns its length. */
static size_t compose(struct symbol *s, char *to) {
    struct timespec t;
    char *at = to;
    clock_gettime(CLOCK_REALTIME, &t);
    s->number++;
    for (const char *from = s->message; *from; from++) {
        if (*from != '@') {
            *at++ = *from;
            continue;
        }
        switch (*++from) {
        case 'S': at += sprintf(at, "%lu", s->number); break;
        case 'M': at += sprintf(at, "%ld%03ld", t.tv_sec, t.tv_nsec / 1000000); break;
        case 'U': at += sprintf(at, "%ld.%06ld", t.tv_sec, t.tv_nsec / 1000); break;
        default: fprintf(stderr, "unknown mark @%c\n", *from), exit(1);
        }
    }
    return (size_t)(at - to);
}

static void send_all(int fd, const char *text, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) fail("send");
        text += sent;
        length -= (size_t)sent;
    }
}

static bool publish_one(void) {
    char message[LONGEST];
    struct symbol *s = &symbols[next_symbol];
    struct connection *free_one = connections;
    if (path != NULL) {
        while (free_one < connections + connection_count && free_one->busy) free_one++;
        if (free_one == connections + connection_count) return false;
    }
    size_t length = compose(s, message);
    if (path != NULL) {
        int head = sprintf(output, "POST %s%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n", path, strchr(s->channel, ':') + 1, length);
        memcpy(output + head, message, length);
        send_all(free_one->fd, output, (size_t)head + length);
        free_one->busy = true;
    } else {
        output_length += (size_t)sprintf(output + output_length, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(s->channel), s->channel, length);
        memcpy(output + output_length, message, length);
        memcpy(output + output_length + length, "\r\n", 2);
        output_length += length + 2;
    }
    next_symbol = (next_symbol + 1) % symbols_used;
    published++;
    return true;
}

static double overdue(void) {
    return (now_s() - started_s) * rate - (double)(published - published_at_start);
}

static void publish_due(void) {
    for (int i = 0; i < MOST_AT_ONCE && overdue() >= 1 && publish_one(); i++)
        if (output_length > OUTPUT_ROOM - 2 * LONGEST) break;
    if (output_length > 0) send_all(connections[0].fd, output, output_length);
    output_length = 0;
}

/* Redis's answers are of no interest, unless one is an error; of HTTP's the end must be known. */
static void take_answers(struct connection *c) {
    ssize_t got = recv(c->fd, c->input + c->length, LONGEST - 1 - c->length, 0);
    if (got < 0) fail("recv");
    if (got == 0) fprintf(stderr, "the server has closed the connection\n"), exit(1);
    c->length += (size_t)got;
    c->input[c->length] = 0;
    if (path == NULL) {
        if (strchr(c->input, '-') != NULL) fprintf(stderr, "%s\n", c->input), exit(1);
        c->length = 0;
        return;
    }
    char *end = strstr(c->input, "\r\n\r\n");
    if (end == NULL) return;
    char *body = strcasestr(c->input, "\r\nContent-Length:");
    size_t length = (size_t)(end - c->input) + 4 + (body == NULL ? 0 : strtoul(body + 17, NULL, 10));
    if (c->length < length) return;
    refused += strncmp(c->input, "HTTP/1.1 20", 11) != 0;
    c->length = 0;
    c->busy = false;
}

static void command(const char *line) {
    struct rusage used;
    if (strncmp(line, "rate ", 5) == 0) {
        if (sscanf(line, "rate %lf %d", &rate, &symbols_used) != 2 || symbols_used < 1 || symbols_used > symbol_count)
            fprintf(stderr, "not a rate: %s\n", line), exit(1);
        next_symbol = 0;
        started_s = now_s();
        published_at_start = published;
        printf("{}\n");
    } else if (strcmp(line, "report") == 0) {
        getrusage(RUSAGE_SELF, &used);
        double late = rate > 0 ? overdue() : 0;
        printf("{\"published\":%lu,\"refused\":%lu,\"overdue\":%.0f,\"cpu_s\":%.6f}\n", published, refused, late < 0 ? 0 : late,
               (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    } else {
        fprintf(stderr, "unknown command %s\n", line), exit(1);
    }
    fflush(stdout);
}

static void read_commands(void) {
    static char input[4096];
    static size_t length;
    ssize_t got = read(STDIN_FILENO, input + length, sizeof input - length - 1);
    if (got <= 0) exit(0); /* whoever started us has gone */
    length += (size_t)got;
    input[length] = 0;
    char *rest = input, *end;
    while ((end = strchr(rest, '\n')) != NULL) {
        *end = 0;
        command(rest);
        rest = end + 1;
    }
    length = strlen(rest);
    memmove(input, rest, length + 1);
}

int main(int count, char **arguments) {
    bool http = count == 5 && strcmp(arguments[1], "http") == 0;
    if (!http && !(count == 4 && strcmp(arguments[1], "redis") == 0))
        return fprintf(stderr, "publisher redis PORT MESSAGES | publisher http PORT PATH MESSAGES\n"), 2;
    port = atoi(arguments[2]);
    path = http ? arguments[3] : NULL;
    load(arguments[count - 1]);
    output = malloc(OUTPUT_ROOM);
    open_connections(http ? CONNECTIONS : 1);
    struct pollfd watched[CONNECTIONS + 1] = {{.fd = STDIN_FILENO, .events = POLLIN}};
    for (int i = 0; i < connection_count; i++) watched[i + 1] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN};
    for (;;) {
        double wait_s = rate > 0 ? (1 - overdue()) / rate : 1;
        if (wait_s < SHORTEST_WAIT_S) wait_s = SHORTEST_WAIT_S;
        if (wait_s > 1) wait_s = 1;
        struct timespec wait = {.tv_nsec = wait_s < 1 ? (long)(wait_s * 1e9) : 0, .tv_sec = wait_s < 1 ? 0 : 1};
        if (ppoll(watched, (nfds_t)connection_count + 1, &wait, NULL) < 0 && errno != EINTR) fail("ppoll");
        if (watched[0].revents) read_commands();
        for (int i = 0; i < connection_count; i++)
            if (watched[i + 1].revents) take_answers(&connections[i]);
        if (rate > 0) publish_due();
    }
}
