// Keeps an open page right: it listens to the stream of its parts, and goes on with its times.
// Without this script, a page loads itself again every few seconds.
'use strict';

(() => {
  const root = document.documentElement;
  const connection = document.getElementById('connection');
  let source, again;

  const say = (text) => {
    if (!connection || connection.textContent === text) return;
    connection.textContent = text;
    connection.hidden = text === '';
  };

  // short renders a duration as the server does: 40s, 6m, 3h20m.
  const short = (seconds) => {
    const s = Math.max(0, Math.floor(seconds));
    if (s < 120) return `${s}s`;
    if (s < 3600) return `${Math.floor(s / 60)}m`;
    return `${Math.floor(s / 3600)}h${String(Math.floor(s / 60) % 60).padStart(2, '0')}m`;
  };

  // ahead is by how much the clock of this device is ahead of the board's.
  const ahead = root.dataset.now ? Date.now() - Date.parse(root.dataset.now) : 0;

  const tick = () => {
    const now = Date.now() - ahead;
    for (const time of document.querySelectorAll('time[data-ago], time[data-in]')) {
      const seconds = (now - Date.parse(time.dateTime)) / 1000;
      const text = 'ago' in time.dataset ? short(seconds) : -seconds < 5 ? 'any moment now' : `in about ${short(-seconds)}`;
      if (time.textContent !== text) time.textContent = text;
      if (!time.title) time.title = new Date(time.dateTime).toLocaleString();
    }
  };

  // put replaces a part, and keeps the focus where it is.
  const put = ({ id, html }) => {
    const part = document.getElementById(id);
    if (!part) return;
    const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
    const next = new DOMParser().parseFromString(html, 'text/html').body;
    const was = part.querySelector('[role=status]');
    const is = next.querySelector('[role=status]');
    if (was && is) { // a screen reader tells what changes in the element that it knows
      if (was.textContent !== is.textContent) was.textContent = is.textContent;
      is.replaceWith(was);
    }
    part.replaceChildren(...next.childNodes);
    if (focused) {
      for (const link of part.querySelectorAll('a[href]')) {
        if (link.getAttribute('href') === focused) {
          link.focus({ preventScroll: true });
          break;
        }
      }
    }
  };

  const stop = () => {
    clearTimeout(again);
    if (source) source.close();
  };

  const listen = (path) => {
    stop();
    source = new EventSource(path);
    source.onopen = () => say('');
    source.onerror = () => {
      say('Reconnecting…');
      // A stream that breaks off is opened again by the browser, but not one that is refused: while
      // the board restarts, or has too many readers. They do not all come back at once.
      if (source.readyState === EventSource.CLOSED) again = setTimeout(listen, 10000 + 10000 * Math.random(), path);
    };
    source.addEventListener('parts', (event) => {
      JSON.parse(event.data).forEach(put);
      tick();
    });
    source.addEventListener('go', (event) => location.replace(event.data));
    source.addEventListener('reload', () => location.reload());
  };

  // filter shows the list that the form asks for, without loading the page again.
  const filter = (form) => {
    let waiting;
    const show = () => {
      const query = new URLSearchParams();
      for (const [name, value] of new FormData(form)) {
        const asDefault = name === 'sort' && value === form.elements.sort.options[0].value;
        if (value && !asDefault) query.set(name, value);
      }
      const search = String(query) && `?${query}`;
      history.replaceState(null, '', `/${search}`);
      listen(`/-/live/${search}`);
    };
    form.addEventListener('input', () => {
      clearTimeout(waiting);
      waiting = setTimeout(show, 200);
    });
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      clearTimeout(waiting);
      show();
    });
    form.classList.add('live');
  };

  root.classList.add('script');
  tick();
  setInterval(tick, 1000);
  if (root.dataset.live) {
    listen(root.dataset.live);
    // A page that nobody sees holds no connection: a browser has six for each host.
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) stop();
      else listen(source.url);
    });
  }
  const form = document.querySelector('form.filter');
  if (form) filter(form);
})();
