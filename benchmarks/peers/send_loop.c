/* The most that one core can do with one write per tick and client: Redis in, a loop of send() out, and nothing else.
 *
 *     send_loop PORT REDIS_PORT
 *
 * GET /stream?symbols=BTC-USDT,ETH-USDT streams each message of ticker:<symbol>. A client that cannot take a tick goes
 * without it. It has no limits, no snapshot and no heartbeat: the servers are compared with it, and nobody would run it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_SYMBOLS = 256, MOST_CLIENTS = 65536, LONGEST = 64 * 1024, INPUT_ROOM = 1 << 20 };
static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

struct symbol { char name[32]; int *clients, count, room; };

static struct symbol symbols[MOST_SYMBOLS];
static int symbol_count, epoll_fd;
static bool is_open[MOST_CLIENTS];
static char input[INPUT_ROOM];
static size_t input_length;

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static struct symbol *find(const char *name, size_t length, bool add) {
    for (int i = 0; i < symbol_count; i++)
        if (strlen(symbols[i].name) == length && memcmp(symbols[i].name, name, length) == 0) return &symbols[i];
    if (!add || symbol_count == MOST_SYMBOLS || length >= sizeof symbols[0].name) return NULL;
    memcpy(symbols[symbol_count].name, name, length);
    return &symbols[symbol_count++];
}

static void leave(int client) {
    for (struct symbol *s = symbols; s < symbols + symbol_count; s++)
        for (int i = 0; i < s->count; i++)
            if (s->clients[i] == client) s->clients[i--] = s->clients[--s->count];
    is_open[client] = false;
    close(client);
}

static void on_request(int client) {
    char request[LONGEST];
    ssize_t got = recv(client, request, sizeof request - 1, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0 || is_open[client]) {
        leave(client);
        return;
    }
    request[got] = 0;
    char *wanted = strstr(request, "symbols=");
    if (wanted == NULL || strncmp(request, "GET ", 4) != 0) {
        leave(client);
        return;
    }
    is_open[client] = true;
    send(client, HEAD, sizeof HEAD - 1, MSG_NOSIGNAL);
    for (wanted += 8; *wanted && *wanted != ' ';) {
        size_t length = strcspn(wanted, ", ");
        struct symbol *s = find(wanted, length, true);
        if (s != NULL) {
            if (s->count == s->room) s->clients = realloc(s->clients, (size_t)(s->room = s->room * 2 + 64) * sizeof *s->clients);
            s->clients[s->count++] = client;
        }
        wanted += length + (wanted[length] == ',');
    }
}

static void fan_out(struct symbol *s, const char *message, size_t length) {
    static char chunk[LONGEST + 64];
    if (s == NULL || length > LONGEST) return;
    int head = sprintf(chunk, "%zx\r\ndata: ", length + 8);
    memcpy(chunk + head, message, length);
    memcpy(chunk + head + length, "\n\n\r\n", 4);
    for (int i = 0; i < s->count; i++) send(s->clients[i], chunk, (size_t)head + length + 4, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Reads one RESP array of bulk strings. Returns how long it is, 0 when it has not come whole yet. */
static size_t take_message(char *text, size_t available) {
    char *at = text, *end = text + available, *parts[4];
    size_t lengths[4];
    long count = 0;
    if (memchr(at, '\n', available) == NULL) return 0;
    if (*at == '*') count = strtol(at + 1, NULL, 10);
    at = (char *)memchr(at, '\n', available) + 1;
    for (long i = 0; i < count && i < 4; i++) {
        char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (line_end == NULL) return 0;
        parts[i] = line_end + 1;
        lengths[i] = *at == '$' ? strtoul(at + 1, NULL, 10) : 0;
        at = *at == '$' ? parts[i] + lengths[i] + 2 : parts[i];
        if (at > end) return 0;
    }
    if (count == 4 && lengths[0] == 8 && memcmp(parts[0], "pmessage", 8) == 0)
        fan_out(find(parts[2] + 7, lengths[2] - 7, false), parts[3], lengths[3]);
    return (size_t)(at - text);
}

static void on_redis(int redis) {
    ssize_t got = recv(redis, input + input_length, INPUT_ROOM - input_length, 0);
    if (got <= 0) exit(1);
    input_length += (size_t)got;
    size_t taken = 0;
    for (size_t length; (length = take_message(input + taken, input_length - taken)) > 0;) taken += length;
    input_length -= taken;
    memmove(input, input + taken, input_length);
}

int main(int count, char **arguments) {
    if (count != 3) return fprintf(stderr, "send_loop PORT REDIS_PORT\n"), 2;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in bus = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct rlimit files;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), redis = socket(AF_INET, SOCK_STREAM, 0);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (connect(redis, (struct sockaddr *)&bus, sizeof bus) < 0) return perror("redis"), 1;
    if (send(redis, "PSUBSCRIBE ticker:*\r\n", 21, 0) != 21) return perror("redis"), 1;
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 4096) < 0) return perror("listen"), 1;
    epoll_fd = epoll_create1(0);
    watch(listener);
    watch(redis);
    for (struct epoll_event events[512];;) {
        int ready = epoll_wait(epoll_fd, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == redis) on_redis(redis);
            else if (fd != listener) on_request(fd);
            else
                for (int client; (client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    if (client >= MOST_CLIENTS) close(client);
                    else watch(client);
                }
        }
    }
}
