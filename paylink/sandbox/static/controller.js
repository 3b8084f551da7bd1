"use strict";
sandboxFrame.listen({
  retrieve: sandboxFrame.retrieve,
  confirm: function (data) {
    return sandboxFrame.confirm(data, null);
  },
});
