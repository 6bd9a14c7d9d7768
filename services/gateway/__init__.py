from services.gateway.compiled import use

use()
